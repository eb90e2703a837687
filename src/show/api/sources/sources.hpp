#pragma once
// A source and a blind spot as JSON: the page of sources and the first screen show the same. Plain functions; any thread.
#include "base/catalogue.hpp"
#include "base/json_writer.hpp"
#include "show/api/node/node.hpp"

namespace bavn::show::api {

void write_source(JsonWriter& w, const SourceView& s);
void write_blind(JsonWriter& w, const input::Sight& s, Language language);

}  // namespace bavn::show::api
