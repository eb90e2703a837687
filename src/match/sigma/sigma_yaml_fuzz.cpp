// Any bytes as a rule file: loads or refuses, never crashes or hangs; what loads can be evaluated, explained and cached.
#include <cstdint>

#include "match/sigma/cache.hpp"
#include "match/sigma/exact.hpp"
#include "match/sigma/load.hpp"

using namespace bavn::match::sigma;

namespace {
struct OneField final : RecordView {
  std::string_view text;
  void for_each(std::string_view, const Visit& visit) const override { visit(text, ValueKind::string); }
  void for_any(const Visit& visit) const override { visit(text, ValueKind::string); }
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  OneField record;
  record.text = {reinterpret_cast<const char*>(data), size};
  const auto set = load_text(record.text);
  if (!set) return 0;
  for (const auto& rule : set->rules) (void)matches(*set, rule, record);
  if (!decode_cache(encode_cache(*set, ""), "")) __builtin_trap();
  (void)decode_cache(record.text, "");
  return 0;
}
