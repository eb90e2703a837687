#pragma once
// The body of Elastic's _bulk: a line that says what to do, and the document on the next. Only `create` and `index` are possible here: a
// record is evidence, it is not changed. What one item lacks is its own fault and its answer says so; what makes the lines ambiguous is a
// fault of the whole body, as it is at Elastic's.
// Life: views of the body; it must stay. Thread rules: values.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::live {

enum class BulkAction : std::uint8_t { create, index, update, del };
std::string_view to_string(BulkAction a);

struct BulkItem {
  BulkAction action = BulkAction::create;
  std::string_view document;          // one line, without spaces around it; empty for `delete`
  std::uint32_t name = 0, index = 0;  // places in BulkBody::texts; 0: none was given
  const char* fault = nullptr;        // why it cannot be stored
};

struct BulkBody {
  std::vector<BulkItem> items;
  std::vector<std::string> texts;  // JSON strings with their quotes; the first is empty
  std::string_view index_of(const BulkItem& item) const { return texts[item.index]; }
  std::string_view id_of(const BulkItem& item) const { return texts[item.name]; }
};

struct BulkLimits {
  std::size_t items = 100'000;
  std::size_t action_bytes = 8U << 10U;
  std::size_t id_bytes = 512, index_bytes = 255;  // Elastic's own
};

/// index: of the path; used where an action names none. bad_input: with Elastic's words; where = "413": more items than the limit.
Result<BulkBody> read_bulk(std::string_view body, std::string_view index, const BulkLimits& limits = {});

}  // namespace bavn::live
