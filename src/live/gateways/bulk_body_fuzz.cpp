// Any bytes as a body of _bulk: no crash; every item has its document inside the body; a line made of an item gives the item's key again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "live/gateways/bulk_body.hpp"
#include "live/gateways/record_ids.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const live::RecordKeys keys("http.x", MunicipalityId{101}, TenantId{1});
  (void)keys.of_line(bytes);
  const auto body = live::read_bulk(bytes, size % 2 == 0 ? "" : "index", {.items = 1000});
  if (!body) return 0;
  for (const live::BulkItem& item : body->items) {
    if (item.index >= body->texts.size() || item.name >= body->texts.size()) std::abort();
    if (item.fault != nullptr) continue;
    if (item.document.find('\n') != std::string_view::npos || item.document.front() != '{') std::abort();
    std::string line;
    live::append_named_line(line, item.document, body->index_of(item), body->id_of(item));
    if (body->id_of(item).empty()) continue;
    const auto key = keys.of(body->index_of(item), body->id_of(item), item.document), again = keys.of_line(line);
    // A document that ends in an _index of its own is the one thing that reads otherwise.
    if (key.id != again.id && !(body->index_of(item).empty() && item.document.find("_index") != std::string_view::npos))
      std::abort();
  }
  return 0;
}
