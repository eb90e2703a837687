#define PCRE2_CODE_UNIT_WIDTH 8
#include "match/indicators/bounded_regex.hpp"

#include <pcre2.h>

namespace bavn::match::indicators {

struct BoundedRegex::State {
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;
  ~State() {
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
};

BoundedRegex::~BoundedRegex() = default;

Result<std::shared_ptr<const BoundedRegex>> BoundedRegex::compile(std::string_view expression, bool caseless) {
  if (expression.size() > kLongest) return fail(Code::bad_input, "regular expression longer than 4 KiB");
  auto state = std::make_unique<State>();
  int error = 0;
  PCRE2_SIZE at = 0;
  state->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_NEVER_BACKSLASH_C | PCRE2_DOTALL | (caseless ? PCRE2_CASELESS : 0U), &error, &at, nullptr);
  if (state->code == nullptr) {
    PCRE2_UCHAR text[160];
    pcre2_get_error_message(error, text, sizeof text);
    return fail(Code::bad_input, "bad regular expression: " + std::string(reinterpret_cast<const char*>(text)) +
                                     " at " + std::to_string(at));
  }
  state->limits = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(state->limits, 10000);
  pcre2_set_depth_limit(state->limits, 1000);
  pcre2_set_heap_limit(state->limits, 1024);
  std::shared_ptr<BoundedRegex> regex(new BoundedRegex);
  regex->state_ = std::move(state);
  return std::shared_ptr<const BoundedRegex>(std::move(regex));
}

bool BoundedRegex::search(std::string_view value) const {
  value = value.substr(0, 16 * 1024);
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  const int n =
      pcre2_match(state_->code, reinterpret_cast<PCRE2_SPTR>(value.data()), value.size(), 0, 0, data, state_->limits);
  pcre2_match_data_free(data);
  if (n < PCRE2_ERROR_PARTIAL) limit_hits_.fetch_add(1, std::memory_order_relaxed);
  return n >= 0;
}

}  // namespace bavn::match::indicators
