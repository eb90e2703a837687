#define PCRE2_CODE_UNIT_WIDTH 8
#include "match/sigma/regex.hpp"

#include <fmt/format.h>
#include <pcre2.h>

#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {

namespace {

// Working memory of one thread; holds nothing between calls. One pair is enough: only "found or not" is asked.
pcre2_match_data* thread_match_data() {
  struct Owner {
    pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
    Owner() = default;
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { pcre2_match_data_free(data); }
  };
  thread_local Owner owner;
  return owner.data;
}

/// Whether a value has a match does not depend on greediness, but what is looked at first does: '\+.*\+.*\+' tries every choice of
/// plus signs from the right before it tries the first three. Not so for atomic groups, possessive quantifiers and verbs.
bool greediness_is_order_only(std::string_view pattern) {
  for (const std::string_view s : {"(?>", "(*", "++", "*+", "?+", "}+"})
    if (pattern.find(s) != std::string_view::npos) return false;
  return true;
}

bool limit_hit(int rc) {
  return rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT;
}

}  // namespace

Result<std::shared_ptr<const Regex>> Regex::compile(std::string_view pattern, std::uint8_t flags) {
  if (pattern.size() > kMaxPattern)
    return fail(Code::bad_input, fmt::format("a regular expression longer than {} bytes: split it", kMaxPattern));
  std::uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
  if ((flags & Predicate::kRegexIgnoreCase) != 0) options |= PCRE2_CASELESS;
  if ((flags & Predicate::kRegexMultiline) != 0) options |= PCRE2_MULTILINE;
  if ((flags & Predicate::kRegexDotAll) != 0) options |= PCRE2_DOTALL;
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error, &offset, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof message);
    return fail(Code::bad_input, fmt::format("the regular expression '{}' does not compile: {} at character {}",
                                             pattern, reinterpret_cast<const char*>(message), offset));
  }
  std::shared_ptr<Regex> out(new Regex);
  out->code_ = code;
  if (greediness_is_order_only(pattern))
    out->other_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options | PCRE2_UNGREEDY,
                                &error, &offset, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  out->context_ = context;
  if (context == nullptr) return fail(Code::unavailable, "no memory for a regular expression");
  pcre2_set_match_limit(context, kMatchLimit);
  pcre2_set_depth_limit(context, kMatchLimit);
  pcre2_set_heap_limit(context, 4096);  // KiB
  return std::shared_ptr<const Regex>(std::move(out));
}

Regex::~Regex() {
  pcre2_match_context_free(static_cast<pcre2_match_context*>(context_));
  pcre2_code_free(static_cast<pcre2_code*>(code_));
  pcre2_code_free(static_cast<pcre2_code*>(other_));
}

bool Regex::found_in(std::string_view value) const {
  static const char kEmpty = 0;
  const char* subject = value.empty() ? &kEmpty : value.data();
  pcre2_match_data* data = thread_match_data();
  if (data == nullptr) return false;
  const auto search = [&](const void* code) {
    return pcre2_match(static_cast<const pcre2_code*>(code), reinterpret_cast<PCRE2_SPTR>(subject), value.size(), 0, 0,
                       data, static_cast<pcre2_match_context*>(context_));
  };
  int rc = search(code_);
  if (limit_hit(rc) && other_ != nullptr) rc = search(other_);
  if (limit_hit(rc)) limit_hits_.fetch_add(1, std::memory_order_relaxed);
  return rc >= 0;
}

}  // namespace bavn::match::sigma
