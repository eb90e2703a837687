#include "correlate/words.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "correlate/correlator_inner.hpp"
#include "event/observable.hpp"
#include "net/json_views.hpp"

namespace bavn::correlate {

namespace {

constexpr std::int64_t kDayUs = 24LL * 3600 * 1'000'000, kHourUs = kDayUs / 24;
constexpr std::int64_t kMostMails = 10'000'000;
constexpr std::size_t kDomains = 500, kIdsOfDomain = 2000, kIdLength = 500, kOutside = 200, kSigns = 50, kDetail = 200;

Result<void> check_id(std::string_view id, std::string_view what, std::size_t most = 96) {
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == ':';
  };
  if (id.empty() || id.size() > most || !std::all_of(id.begin(), id.end(), fine))
    return refused_for(Code::bad_input, "bad_id",
                       fmt::format("the id of a {} is 1 to {} letters, digits and -_.:", what, most));
  return {};
}

Result<void> check_times(std::int64_t from_us, std::int64_t to_us, Instant now) {
  if (from_us > to_us) return refused_for(Code::bad_input, "bad_time", "it ends before it begins");
  if (to_us > micros(now) + kHourUs) return refused_for(Code::bad_input, "bad_time", "it lies in the future");
  if (from_us < micros(now) - 90 * kDayUs) return refused_for(Code::bad_input, "bad_time", "it is older than 90 days");
  return {};
}

Result<void> check_counts(std::initializer_list<std::int64_t> counts) {
  for (const std::int64_t n : counts)
    if (n < 0 || n > kMostMails)
      return refused_for(Code::bad_input, "bad_number", fmt::format("a count is 0 to {}, not {}", kMostMails, n));
  return {};
}

Result<void> check_address(std::string& address) {
  auto canonical = event::canonical(event::Kind::email, address);
  if (!canonical || canonical->value.size() > 320)
    return refused_for(Code::bad_input, "bad_address", "this is no mail address");
  address = std::move(canonical->value);
  return {};
}

/// Words for people: no control characters, at most 200 bytes.
std::string plain(std::string_view text) {
  std::string_view cut = text.substr(0, kDetail);
  if (cut.size() < text.size())  // not in the middle of a character
    while (!cut.empty() && (static_cast<unsigned char>(text[cut.size()]) & 0xc0U) == 0x80) cut.remove_suffix(1);
  std::string out = repair_utf8(cut);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out;
}

Result<void> check_sign(event::Sign& s, Instant now) {
  if (!known_group(s.group))
    return refused_for(Code::bad_input, "bad_sign", "a sign's group is identity, payload, harm or intelligence");
  if (s.group == "intelligence")
    return refused_for(Code::bad_input, "bad_sign",
                       "what is a trusted indicator is known at the hub, a node does not say it");
  if (s.kind.empty() || s.kind.size() > 32 || !std::all_of(s.kind.begin(), s.kind.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
      }))
    return refused_for(Code::bad_input, "bad_sign", "a sign's kind is 1 to 32 of a-z, 0-9 and _");
  for (const std::string_view ours : kTakeoverKinds)
    if (s.kind == ours)
      return refused_for(Code::bad_input, "bad_sign", "this kind of sign comes from a takeover notice");
  if (s.detail.size() > 4 * kDetail)
    return refused_for(Code::bad_input, "too_long", "a sign's detail is at most 200 bytes");
  s.detail = plain(s.detail);
  return check_times(s.at_us, s.at_us, now);
}
Result<void> check_signs(std::vector<event::Sign>& signs, Instant now) {
  if (signs.size() > kSigns)
    return refused_for(Code::bad_input, "too_many", fmt::format("a notice has at most {} signs", kSigns));
  for (auto& s : signs) BAVN_CHECK(check_sign(s, now));
  return {};
}

Result<void> check_source(std::string_view source, std::int64_t late_s) {
  if (source.size() > 32) return refused_for(Code::bad_input, "too_long", "a source's name is at most 32 bytes");
  if (late_s < -86400 || late_s > 90 * 86400)
    return refused_for(Code::bad_input, "bad_number", "a log is at most 90 days late");
  return {};
}
Result<void> check_hashes(std::string_view a, std::string_view b) {
  const auto fine = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  for (const std::string_view h : {a, b})
    if (h.size() > 64 || !std::all_of(h.begin(), h.end(), fine))
      return refused_for(Code::bad_input, "bad_hash", "a hash is at most 64 hex digits in lower case");
  return {};
}

template <class T>
Result<T> parsed(std::string_view body) {
  auto read = net::from_json<T>(body, net::Unknown::ignore);
  if (!read) return refused_for(Code::bad_input, "bad_json", to_string(read.error()));
  return read;
}

}  // namespace

std::string_view domain_of(std::string_view address) {
  const auto at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view{} : address.substr(at + 1);
}

Result<event::SenderNotice> read_sender_notice(std::string_view body, Instant now) {
  BAVN_TRY(auto n, parsed<event::SenderNotice>(body));
  BAVN_CHECK(check_id(n.id, "notice"));
  BAVN_CHECK(check_address(n.sender));
  BAVN_CHECK(check_times(n.from_us, n.to_us, now));
  BAVN_CHECK(check_times(n.noticed_us, n.noticed_us, now));
  BAVN_CHECK(check_counts({n.mails, n.recipients, n.outside, n.usual}));
  BAVN_CHECK(check_signs(n.signs, now));
  BAVN_CHECK(check_source(n.source, n.late_s));
  BAVN_CHECK(check_hashes(n.subject_hash, n.body_simhash));
  if (n.to.size() > kDomains || n.outside_domains.size() > kOutside)
    return refused_for(
        Code::bad_input, "too_many",
        fmt::format("a notice names at most {} domains of members and {} of others", kDomains, kOutside));
  for (auto& to : n.to) {
    BAVN_CHECK(check_counts({to.mails}));
    auto domain = event::canonical(event::Kind::mail_domain, to.domain);
    if (!domain) return refused_for(Code::bad_input, "bad_domain", "a receivers' domain is none");
    to.domain = std::move(domain->value);
    if (to.message_ids.size() > kIdsOfDomain)
      return refused_for(Code::bad_input, "too_many",
                         fmt::format("at most {} Message-IDs a domain and part", kIdsOfDomain));
    for (const auto& id : to.message_ids) {
      const bool bad = id.size() < 3 || id.size() > kIdLength || !is_valid_utf8(id) ||
                       std::any_of(id.begin(), id.end(), [](char c) { return static_cast<unsigned char>(c) <= 0x20; });
      if (bad)
        return refused_for(Code::bad_input, "bad_message_id",
                           fmt::format("a Message-ID is 3 to {} bytes without blanks", kIdLength));
    }
  }
  std::vector<std::string> outside;
  for (auto& d : n.outside_domains)
    if (auto domain = event::canonical(event::Kind::mail_domain, d); domain && domain->value.size() <= 253)
      outside.push_back(std::move(domain->value));
  n.outside_domains = std::move(outside);
  return n;
}

Result<event::BurstNotice> read_burst(std::string_view body, Instant now) {
  BAVN_TRY(auto n, parsed<event::BurstNotice>(body));
  BAVN_CHECK(check_id(n.id, "burst"));
  BAVN_CHECK(check_address(n.sender));
  BAVN_CHECK(check_times(n.from_us, n.to_us, now));
  BAVN_CHECK(check_times(n.noticed_us, n.noticed_us, now));
  BAVN_CHECK(check_counts({n.mails, n.recipients, n.usual}));
  BAVN_CHECK(check_signs(n.signs, now));
  BAVN_CHECK(check_source(n.source, n.late_s));
  BAVN_CHECK(check_hashes(n.subject_hash, n.body_simhash));
  return n;
}

Result<event::TakeoverNotice> read_takeover(std::string_view body, Instant now) {
  BAVN_TRY(auto n, parsed<event::TakeoverNotice>(body));
  BAVN_CHECK(check_id(n.id, "takeover"));
  BAVN_CHECK(check_address(n.account));
  BAVN_CHECK(check_times(n.first_us, std::max(n.first_us, n.noticed_us), now));
  BAVN_CHECK(check_signs(n.steps, now));
  BAVN_CHECK(check_source(n.source, n.late_s));
  if (takeover_level(n.level) < 0)
    return refused_for(Code::bad_input, "bad_level", "a takeover is suspected, likely or sure");
  return n;
}

Result<event::HarmNotice> read_harm(std::string_view body, Instant now) {
  BAVN_TRY(auto n, parsed<event::HarmNotice>(body));
  BAVN_CHECK(check_id(n.id, "sign of harm"));
  BAVN_CHECK(check_sign(n.sign, now));
  BAVN_CHECK(check_counts({n.count}));
  if (n.sender) BAVN_CHECK(check_address(*n.sender));
  if (n.notice) BAVN_CHECK(check_id(*n.notice, "notice", 112));  // with the municipality in front
  if (n.digest && (n.digest->size() > 64 || n.digest->empty()))
    return refused_for(Code::bad_input, "bad_hash", "a digest is 1 to 64 hex digits");
  if (!n.sender && !n.digest && !n.notice)
    return refused_for(Code::bad_input, "about_nothing", "a sign of harm names a sender, a digest or a notice");
  return n;
}

}  // namespace bavn::correlate
