#include "warn/case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "base/text.hpp"
#include "event/observable.hpp"
#include "net/json_views.hpp"
#include "warn/never_block.hpp"

namespace bavn::warn {

namespace {

// An entry holds 64 KiB and three languages of text are at most half of it.
constexpr std::size_t kMostObservables = 200, kObservableBytes = 20U << 10U, kLongestValue = 2000;
constexpr std::size_t kMostSigns = 50, kMostSubjects = 5, kSubject = 80, kMostNotices = 50, kMostHosts = 100;
constexpr std::size_t kMostTowns = 400, kLongestFile = 1U << 20U;
constexpr std::array<std::string_view, 4> kSeverities{"low", "medium", "high", "critical"};
constexpr std::array<std::string_view, 4> kTlps{"clear", "green", "amber", "amber_strict"};

struct SignFile {
  std::string group, kind;
  std::optional<Instant> at;
};
BOOST_DESCRIBE_STRUCT(SignFile, (), (group, kind, at))

struct CaseFile {
  std::optional<std::string> campaign, trigger, tlp, from_domain, from_address;
  std::string severity;
  std::optional<bool> may_be_named, lit_by_itself;
  std::optional<Instant> first_seen;
  std::optional<std::int64_t> municipalities, mails, outside, clicks;
  std::vector<event::NamedObservable> look_for;
  std::optional<std::vector<SignFile>> signs;
  std::optional<std::vector<std::string>> subjects, shared_hosts, behind_others, notices;
  std::optional<std::vector<MunicipalityId>> to;
};
BOOST_DESCRIBE_STRUCT(CaseFile, (),
                      (campaign, trigger, severity, tlp, from_domain, from_address, may_be_named, lit_by_itself,
                       first_seen, municipalities, mails, outside, clicks, look_for, signs, subjects, shared_hosts,
                       behind_others, notices, to))

/// Invisible characters, and those that change the direction of what stands around them.
bool hides(std::uint32_t c) {
  return c == 0xAD || c == 0x34F || c == 0x61C || c == 0x115F || c == 0x1160 || c == 0x17B4 || c == 0x17B5 ||
         (c >= 0x180B && c <= 0x180E) || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || c == 0x3164 || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || c == 0xFFA0 ||
         (c >= 0xFFF0 && c <= 0xFFFD) || (c >= 0xD800 && c <= 0xF8FF) || c >= 0xE0000;
}

/// Marks that stack on the letter before them: a few are a language, dozens are a mess over three lines.
bool stacks(std::uint32_t c) {
  return (c >= 0x300 && c <= 0x36F) || (c >= 0x483 && c <= 0x489) || (c >= 0x1AB0 && c <= 0x1AFF) ||
         (c >= 0x1DC0 && c <= 0x1DFF) || (c >= 0x20D0 && c <= 0x20FF) || (c >= 0xFE20 && c <= 0xFE2F);
}

/// "http" becomes "hxxp", "ftp://" "fxp://" and "www." "www[.]", whatever the case.
std::string dead_links(std::string s) {
  for (std::size_t i = 0; i + 4 <= s.size(); ++i) {
    const std::string_view at = std::string_view(s).substr(i);
    if (iequals(at.substr(0, 4), "http")) s[i + 1] = s[i + 2] = 'x';
    if (iequals(at.substr(0, 6), "ftp://")) s[i + 1] = 'x';
    if (iequals(at.substr(0, 4), "www.")) s.replace(i + 3, 1, "[.]");
  }
  for (std::size_t i = s.find("]("); i != std::string::npos; i = s.find("](", i + 3)) s.insert(i + 1, " ");
  return s;
}

std::string cleaned(std::string_view text, std::size_t limit, bool lines) {
  // Four bytes a character at most, and some that go away: what is far beyond is not even looked at.
  const std::size_t look_at = std::min(text.size(), limit * 16 + 64);
  const bool more = look_at < text.size();
  const std::string whole = repair_utf8(text.substr(0, look_at));
  std::string out;
  std::size_t characters = 0, empty_lines = 0, marks = 0;
  bool blank = true, cut = more;  // blank: the character before was one
  for (std::size_t i = 0; i < whole.size();) {
    std::uint32_t c = 0;
    const std::size_t length = decode_utf8(whole, i, c);
    if (length == 0) {
      ++i;
      continue;
    }
    i += length;
    if (lines && c == '\n') {
      while (!out.empty() && out.back() == ' ') out.pop_back();
      if (out.empty() || ++empty_lines > 2) continue;
      out += '\n';
      blank = true;
      continue;
    }
    if (c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xA0 || (c >= 0x2000 && c <= 0x200A) || c == 0x3000) c = ' ';
    if (hides(c)) continue;
    marks = stacks(c) ? marks + 1 : 0;
    if (marks > 2) continue;
    if (c == ' ' && blank) continue;
    if (characters == limit) {
      cut = true;
      break;
    }
    if (c == '<') c = 0x2039;
    if (c == '>') c = 0x203A;
    blank = c == ' ';
    if (!blank) empty_lines = 0;
    append_utf8(out, c);
    ++characters;
  }
  while (!out.empty() && (out.back() == ' ' || out.back() == '\n')) out.pop_back();
  if (cut) out += "…";
  return dead_links(std::move(out));
}

bool below(std::string_view host, std::string_view domain) {
  return !domain.empty() && (host == domain || (host.size() > domain.size() && host.ends_with(domain) &&
                                                host[host.size() - domain.size() - 1] == '.'));
}

std::string_view host_of(event::Kind kind, std::string_view value) {
  switch (kind) {
    case event::Kind::url: return event::url_host(value);
    case event::Kind::domain:
    case event::Kind::mail_domain: return value;
    case event::Kind::email: return value.substr(value.rfind('@') + 1);
    default: return {};
  }
}

std::vector<std::string> hosts(const std::vector<std::string>& given) {
  std::vector<std::string> out;
  for (const auto& g : given) {
    if (out.size() == kMostHosts || g.size() > kLongestValue) continue;
    if (auto host = event::canonical(event::Kind::domain, g); host && !std::count(out.begin(), out.end(), host->value))
      out.push_back(std::move(host->value));
  }
  return out;
}

/// A word of our own vocabulary: letters, digits, "_", "-", ":".
bool is_word(std::string_view s, std::size_t limit) {
  return !s.empty() && s.size() <= limit && std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || ascii_digit(c) || c == '_' || c == '-' || c == ':' ||
           c == '.';
  });
}

}  // namespace

std::string harmless(std::string_view text, std::size_t limit) {
  return cleaned(text, limit, false);
}

std::string harmless_lines(std::string_view text, std::size_t limit) {
  return cleaned(text, limit, true);
}

std::string defanged(std::string_view value) {
  std::string out;
  if (const auto scheme = value.find("://"); scheme != std::string_view::npos && value.find('/') == scheme + 1) {
    const std::string name = to_lower(value.substr(0, scheme));
    if (name.starts_with("http")) out = "hxxp" + name.substr(4) + "://";
    else if (name.starts_with("ftp")) out = "fxp" + name.substr(3) + "://";
    else out = name + "[:]//";
    value.remove_prefix(scheme + 3);
  }
  const auto end = std::min(value.find('/'), value.size());
  for (const char c : value.substr(0, end)) {
    if (c == '.') out += "[.]";
    else if (c == '@') out += "[@]";
    else out += c;
  }
  out += value.substr(end);
  return out;
}

Result<Case> read_case(std::string_view json) {
  if (json.size() > kLongestFile)
    return fail(Code::bad_input, fmt::format("a case of {} bytes: at most 1 MiB is read", json.size()));
  BAVN_TRY(CaseFile f, net::from_json<CaseFile>(json, net::Unknown::refuse));
  Case c;
  c.campaign = f.campaign.value_or("by-hand");
  c.trigger = f.trigger.value_or("person");
  c.severity = f.severity;
  c.tlp = f.tlp.value_or("amber");
  c.from_domain = f.from_domain.value_or("");
  c.from_address = f.from_address.value_or("");
  c.may_be_named = f.may_be_named.value_or(false);
  c.lit_by_itself = f.lit_by_itself.value_or(false);
  c.first_seen_us = f.first_seen ? micros(*f.first_seen) : 0;
  c.municipalities = f.municipalities.value_or(0);
  c.mails = f.mails.value_or(0);
  c.outside = f.outside.value_or(0);
  c.clicks = f.clicks.value_or(0);
  c.look_for = std::move(f.look_for);
  if (f.signs)
    for (auto& s : *f.signs) c.signs.push_back({std::move(s.group), std::move(s.kind), s.at ? micros(*s.at) : 0, {}});
  if (f.subjects) c.subjects = std::move(*f.subjects);
  if (f.shared_hosts) c.shared_hosts = std::move(*f.shared_hosts);
  if (f.behind_others) c.behind_others = std::move(*f.behind_others);
  if (f.notices) c.notices = std::move(*f.notices);
  if (f.to) c.to = std::move(*f.to);
  return c;
}

void find_shared_hosts(Case& c, const NeverBlock& never_block) {
  for (const auto& o : c.look_for) {
    const auto read = event::canonical(o.kind, o.value);
    if (!read) continue;
    const auto host = host_of(read->kind, read->value);
    if (!host.empty() && never_block.shared_host(host) &&
        !std::count(c.shared_hosts.begin(), c.shared_hosts.end(), std::string(host)))
      c.shared_hosts.emplace_back(host);
  }
}

Result<Checked> checked(Case c) {
  if (!is_word(c.campaign, 100))
    return fail(Code::bad_input, "a campaign's id is 1 to 100 letters, digits and -_:.", "campaign");
  if (std::find(kSeverities.begin(), kSeverities.end(), c.severity) == kSeverities.end())
    return fail(Code::bad_input, "a severity is low, medium, high or critical", "severity");
  if (std::find(kTlps.begin(), kTlps.end(), c.tlp) == kTlps.end())
    return fail(Code::bad_input, "a warning's marking is clear, green, amber or amber_strict", "tlp");
  if (c.to.size() > kMostTowns)
    return fail(Code::bad_input, fmt::format("{} receivers: leave `to` empty to reach everybody", c.to.size()), "to");
  if (!is_word(c.trigger, 40)) c.trigger = "person";
  Checked out;

  const auto domain =
      c.from_domain.size() <= kLongestValue ? event::canonical(event::Kind::mail_domain, c.from_domain) : std::nullopt;
  const auto address =
      c.from_address.size() <= kLongestValue ? event::canonical(event::Kind::email, c.from_address) : std::nullopt;
  c.from_domain = domain ? domain->value : "";
  c.from_address = address ? address->value : "";
  if (c.from_domain.empty() && !c.from_address.empty())
    c.from_domain = std::string(host_of(event::Kind::email, c.from_address));

  std::set<std::pair<std::string, std::string>> seen;
  std::vector<event::NamedObservable> kept;
  std::size_t bytes = 0;
  const auto keep = [&](const std::string& kind, const std::string& value) {
    const auto read = value.size() <= kLongestValue && kind.size() <= 40 ? event::canonical(kind, value) : std::nullopt;
    if (!read || read->value.empty()) {
      ++out.left_out;
      return;
    }
    // Not agreed: what is looked for must not name the sender either.
    if (!c.may_be_named && below(host_of(read->kind, read->value), c.from_domain)) {
      ++out.left_out;
      return;
    }
    const std::string name(event::to_string(read->kind));
    if (seen.contains({name, read->value})) return;
    if (kept.size() == kMostObservables || bytes + read->value.size() > kObservableBytes) {
      ++out.left_out;
      return;
    }
    bytes += read->value.size();
    seen.emplace(name, read->value);
    kept.push_back({name, read->value});
  };
  for (const auto& o : c.look_for) keep(o.kind, o.value);
  if (c.may_be_named && !c.from_address.empty()) keep("email", c.from_address);
  c.look_for = std::move(kept);

  std::erase_if(c.signs, [](const event::Sign& s) { return !is_word(s.group, 40) || !is_word(s.kind, 60); });
  if (c.signs.size() > kMostSigns) c.signs.resize(kMostSigns);
  for (auto& s : c.signs) s.detail = harmless(s.detail, 200);
  std::vector<std::string> subjects;
  for (const auto& s : c.subjects) {
    auto line = harmless(s, kSubject);
    std::erase(line, '"');
    if (!line.empty() && subjects.size() < kMostSubjects && !std::count(subjects.begin(), subjects.end(), line))
      subjects.push_back(std::move(line));
  }
  c.subjects = std::move(subjects);
  c.shared_hosts = hosts(c.shared_hosts);
  c.behind_others = hosts(c.behind_others);
  std::erase_if(c.notices, [](const std::string& n) { return !is_word(n, 100); });
  if (c.notices.size() > kMostNotices) c.notices.resize(kMostNotices);
  std::sort(c.to.begin(), c.to.end());
  c.to.erase(std::unique(c.to.begin(), c.to.end()), c.to.end());
  for (std::int64_t* n : {&c.municipalities, &c.mails, &c.outside, &c.clicks})
    *n = std::clamp<std::int64_t>(*n, 0, 1'000'000'000);
  if (c.first_seen_us < 0) c.first_seen_us = 0;
  out.c = std::move(c);
  return out;
}

}  // namespace bavn::warn
