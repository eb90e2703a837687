#pragma once
// An event as a person or a golden file sees it.
#include <string>

#include "event/batch.hpp"
#include "event/plan.hpp"
#include "event/route.hpp"
#include "formats/catalogue.hpp"

namespace bavn::formats {

/// {"format":..,"happened_at":..,"route":{..},"fields":{name: value or [values]}} with names sorted.
std::string render(const event::EventBatch& batch, const event::Record& r, const Catalogue& catalogue,
                   const event::FieldPlan& plan, const event::RouteTable& routes);

/// Reads bytes in explain mode (every value) and renders each record and refusal, one JSON object a line.
/// format: empty = recognise.
std::string explain(const Catalogue& catalogue, std::string_view bytes, std::string_view format, Instant reference);

}  // namespace bavn::formats
