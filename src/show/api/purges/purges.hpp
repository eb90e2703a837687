#pragma once
#include "act/purge.hpp"
#include "base/json_writer.hpp"

namespace bavn::show::api {

void write_purge(JsonWriter& w, const act::PurgeCase& c);

}  // namespace bavn::show::api
