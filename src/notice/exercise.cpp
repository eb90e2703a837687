#include "notice/exercise.hpp"

#include "event/domain.hpp"
#include "notice/community.hpp"

namespace bavn::notice {

namespace {

bool in_time(const Exercise& e, Instant happened) {
  return !e.withdrawn && micros(happened) >= e.from_us && micros(happened) <= e.until_us;
}
bool of_sender(const Exercise& e, std::string_view sender) {
  if (e.sender.empty()) return false;
  return e.sender.contains('@') ? sender == e.sender : domain_of(sender) == e.sender;
}
/// "a.example/x" covers "a.example/x", "a.example/x/y" and "a.example/x?y", not "a.example/xy".
bool covers(const Exercise& e, std::string_view url) {
  return !e.url.empty() && url.starts_with(e.url) &&
         (url.size() == e.url.size() || e.url.back() == '/' || url[e.url.size()] == '/' || url[e.url.size()] == '?');
}

}  // namespace

bool of_exercise(const Exercise& e, const event::MailFact& mail) {
  if (!in_time(e, mail.head.happened) || !of_sender(e, mail.sender)) return false;
  if (e.url.empty() || mail.urls.empty()) return true;
  for (const std::string& url : mail.urls)
    if (covers(e, url)) return true;
  return false;
}

bool of_exercise(const Exercise& e, const event::HarmFact& harm) {
  // People report and click after it was sent: for as long as its time.
  if (!in_time(e, harm.head.happened)) return false;
  if (!harm.url.empty() && !e.url.empty()) return covers(e, harm.url);
  return of_sender(e, harm.sender);
}

}  // namespace bavn::notice
