#include "app/answers.hpp"

#include <fmt/format.h>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/time.hpp"

namespace bavn::app {

std::string plain(const std::string& answer) {
  const auto document = net::JsonDocument::parse(answer);
  if (!document || !document->root().is_object() || !document->root()["items"].is_array()) return answer;
  return document->root()["items"].to_text();
}

int said(const Result<std::string>& answer, bool json, const std::function<void(net::JsonValue)>& tell) {
  if (!answer) return failed(answer.error());
  if (json || answer->empty()) {
    fmt::print("{}\n", answer->empty() ? "done" : plain(*answer));
    return kDone;
  }
  const auto document = net::JsonDocument::parse(*answer);
  if (!document) return failed(document.error());
  tell(document->root());
  return kDone;
}

std::string when(net::JsonValue v) {
  if (v.text()) {
    const auto at = parse_time(*v.text());
    return !at ? "-" : format_time(from_micros(micros(*at) / 1'000'000 * 1'000'000));
  }
  const std::int64_t us = v.integer().value_or(0);
  return us == 0 ? "-" : format_time(from_micros(us / 1'000'000 * 1'000'000));
}

std::int64_t n(net::JsonValue v) {
  return v.integer().value_or(0);
}

}  // namespace bavn::app
