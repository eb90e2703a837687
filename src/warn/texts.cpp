#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/local_time.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"
#include "warn/case.hpp"

namespace bavn::warn {

namespace {

constexpr std::array kLanguages{Language::da, Language::nb, Language::en};
constexpr std::size_t kLinksShown = 3, kLinkLength = 120, kSms = 160;

std::string_view zone_of(Language language) {
  return language == Language::nb ? "Europe/Oslo" : "Europe/Copenhagen";
}

/// "1.426", "1 426", "1,426"
std::string number(Language language, std::int64_t n) {
  const std::string_view gap = language == Language::da ? "." : language == Language::nb ? "\u00A0" : ",";
  const std::string digits = std::to_string(n);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-') out += gap;
    out += digits[i];
  }
  return out;
}

struct Speaker {
  const Catalogue& texts;
  Language language;

  std::string say(std::string_view key, Catalogue::Values values = {}) const {
    return texts.say(language, "warn." + std::string(key), values);
  }
  std::string count(std::string_view key, std::int64_t n) const {
    return say(std::string(key) + (n == 1 ? ".one" : ".other"), {{"n", number(language, n)}});
  }
  std::string when(std::int64_t us, std::string_view key = "when") const {
    const auto local = local_time(from_micros(us), zone_of(language));
    if (!local) return format_time(from_micros(us));
    const std::string hour = language == Language::da ? std::to_string(local->hour) : fmt::format("{:02}", local->hour);
    const std::string minute = fmt::format("{:02}", local->minute), day = std::to_string(local->day);
    if (key == "when_short")
      return say(key, {{"day", day}, {"month", std::to_string(local->month)}, {"hour", hour}, {"minute", minute}});
    return say(key, {{"weekday", say(fmt::format("weekday.{}", local->weekday))},
                     {"day", day},
                     {"month", say(fmt::format("month.{}", local->month))},
                     {"hour", hour},
                     {"minute", minute}});
  }
  std::string joined(const std::vector<std::string>& words, std::string_view by = "and") const {
    if (words.empty()) return {};
    std::string first = words[0];
    for (std::size_t i = 1; i + 1 < words.size(); ++i) first += ", " + words[i];
    return words.size() == 1 ? first : say(by, {{"first", first}, {"last", words.back()}});
  }
  std::string log(std::string_view kind) const {
    const std::string key = "warn.log." + std::string(kind);
    return texts.has(key) ? texts.say(language, key) : harmless(kind, 40);
  }
  std::string logs(const std::vector<std::string>& kinds) const {
    std::vector<std::string> names;
    for (const auto& k : kinds)
      if (names.size() < 12) names.push_back(log(k));
    return joined(names);
  }
};

bool has_sign(const Case& c, std::initializer_list<std::string_view> kinds) {
  return std::any_of(c.signs.begin(), c.signs.end(), [&](const event::Sign& s) {
    return std::find(kinds.begin(), kinds.end(), s.kind) != kinds.end();
  });
}
bool looks_for(const Case& c, std::initializer_list<std::string_view> kinds) {
  return std::any_of(c.look_for.begin(), c.look_for.end(), [&](const event::NamedObservable& o) {
    return std::find(kinds.begin(), kinds.end(), o.kind) != kinds.end();
  });
}

bool new_right(const Case& c) {
  return has_sign(c, {"new_app", "new_service_principal", "new_secret", "consent", "app_role"});
}
bool new_rule(const Case& c) {
  return has_sign(c, {"inbox_rule", "forwarding", "mailbox_permission"});
}
/// Signs at the sender's account that it is in other hands: those marked T in docs/noticing.md.
bool taken(const Case& c) {
  return c.trigger == "takeover" || new_right(c) || new_rule(c) ||
         has_sign(c, {"odd_sign_in", "session_moved", "device_code", "far_country", "sign_in_after_click", "risk_alert",
                      "new_mfa_method", "new_device", "app_sends"});
}
bool of_member(const Case& c) {
  return c.trigger == "sender_notice" || c.trigger == "takeover" || c.trigger == "burst" || !c.from_domain.empty();
}
bool named(const Case& c) {
  return c.may_be_named && !c.from_domain.empty();
}
bool has_link(const Case& c) {
  return looks_for(c, {"url", "domain"});
}
bool has_file(const Case& c) {
  return has_sign(c, {"active_attachment"}) || looks_for(c, {"sha256", "sha1", "md5", "file_name"});
}
bool has_hash(const Case& c) {
  return looks_for(c, {"sha256", "sha1", "md5"});
}
bool qr(const Case& c) {
  return has_sign(c, {"qr_code"});
}
/// The mail asks for it; the same sign at the sender's account says how that one was taken.
bool device_code(const Case& c) {
  return std::any_of(c.signs.begin(), c.signs.end(),
                     [](const auto& s) { return s.kind == "device_code" && s.group == "payload"; });
}
bool payment(const Case& c) {
  return looks_for(c, {"bank_account", "phone"});
}
bool login(const Case& c) {
  return has_sign(c, {"login_form", "login_after_click", "sign_in_after_click"});
}

std::string_view sender(const Case& c) {
  return named(c) ? "named" : of_member(c) ? "member" : "unknown";
}

/// Where links lead, by how they can be blocked. Shown forms, each once.
struct Links {
  std::vector<std::string> all, paths, path_hosts, hosts, names;
};
void add(std::vector<std::string>& to, std::string what) {
  if (std::find(to.begin(), to.end(), what) == to.end()) to.push_back(std::move(what));
}
std::string shown(std::string_view value) {
  return harmless(defanged(value), kLinkLength);
}
bool holds(const std::vector<std::string>& hosts, std::string_view host) {
  return std::find(hosts.begin(), hosts.end(), host) != hosts.end();
}

Links links_of(const Case& c) {
  Links l;
  for (const auto& o : c.look_for) {
    if (o.kind != "url" && o.kind != "domain") continue;
    const std::string_view host = o.kind == "url" ? event::url_host(o.value) : std::string_view(o.value);
    const bool under_sender = !c.from_domain.empty() && (host == c.from_domain || host.ends_with("." + c.from_domain));
    add(l.all, shown(o.value));
    if (holds(c.shared_hosts, host) || under_sender) {
      if (o.value == host) continue;  // nothing of it can be blocked
      add(l.paths, shown(o.value));
      add(l.path_hosts, shown(host));
    } else {
      add(holds(c.behind_others, host) ? l.names : l.hosts, shown(host));
    }
  }
  return l;
}

/// At most three, then "...": the whole list travels beside the text.
std::vector<std::string> first_of(const std::vector<std::string>& all) {
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), kLinksShown))};
}

/// GSM 03.38 has these beside ASCII letters, digits and most signs; anything else would halve what an SMS can hold.
std::string gsm(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::uint32_t c = 0;
    const std::size_t length = decode_utf8(text, i, c);
    if (length == 0) {
      ++i;
      continue;
    }
    i += length;
    static const std::set<std::uint32_t> kMore{0xA3, 0xA5, 0xE8, 0xE9, 0xF9, 0xEC, 0xF2, 0xC7, 0xD8,
                                               0xF8, 0xC5, 0xE5, 0xC6, 0xE6, 0xDF, 0xC9, 0xC4, 0xD6,
                                               0xD1, 0xDC, 0xA7, 0xE4, 0xF6, 0xF1, 0xFC, 0xE0};
    const bool plain = c >= 0x20 && c < 0x7F && c != '`' && c != '^' && c != '{' && c != '}' && c != '[' && c != ']' &&
                       c != '\\' && c != '~' && c != '|';
    if (plain || kMore.contains(c)) append_utf8(out, c);
    else if (c == 0xA0) out += ' ';
    else out += c == 0x2026 ? "..." : "?";
  }
  return out;
}

std::size_t characters(std::string_view s) {
  return static_cast<std::size_t>(
      std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string sms_of(const Speaker& s, const Case& c, Phase phase) {
  // A person may know of the mail, and not since when.
  const auto timed = [&](std::string_view key) {
    return c.first_seen_us > 0 ? s.say(key, {{"when", s.when(c.first_seen_us, "when_short")}}) : std::string();
  };
  const std::string since = timed("sms.since"), of = timed("sms.of");
  const std::string severity = s.say("severity." + c.severity);
  const auto say = [&](std::string_view who) {
    if (phase == Phase::over) return s.say("sms.over", {{"of", of}});
    if (phase == Phase::withdrawn) return s.say("sms.withdrawn", {{"of", of}});
    if (who == "named") return s.say("sms.named", {{"severity", severity}, {"from", c.from_domain}, {"since", since}});
    return s.say("sms." + std::string(who), {{"severity", severity}, {"since", since}});
  };
  std::string line = gsm(say(sender(c)));
  if (characters(line) > kSms) line = gsm(say("member"));  // a very long domain
  return line;
}

std::string title_of(const Speaker& s, const Case& c, Phase phase) {
  const std::string title =
      named(c) ? s.say("title.named", {{"from", c.from_domain}}) : s.say("title." + std::string(sender(c)));
  switch (phase) {
    case Phase::sent: return title;
    case Phase::updated: return s.say("title.updated", {{"title", title}});
    case Phase::over: return s.say("title.over", {{"title", title}});
    case Phase::withdrawn: return s.say("title.withdrawn", {{"title", title}});
  }
  return title;
}

std::vector<std::string> quoted(const Speaker& s, const std::vector<std::string>& subjects) {
  std::vector<std::string> out;
  for (const auto& x : subjects) out.push_back(s.say("quoted", {{"text", x}}));
  return out;
}

std::string files_of(const Speaker& s, const Case& c) {
  std::vector<std::string> names;
  for (const auto& o : c.look_for)
    if (o.kind == "file_name" && names.size() < kLinksShown)
      names.push_back(s.say("quoted", {{"text", harmless(o.value, 60)}}));
  return s.joined(names);
}

std::string summary_of(const Speaker& s, const Case& c, Phase phase) {
  if (phase == Phase::over) return s.say("over.text");
  if (phase == Phase::withdrawn) return s.say("withdrawn.text");
  std::vector<std::string> what, how, state;
  const std::string who(sender(c));
  const std::string key = who == "unknown" ? "what.unknown" : taken(c) ? "what.taken_" + who : "what." + who;
  what.push_back(who == "named" ? s.say(key, {{"from", c.from_domain}}) : s.say(key));
  if (c.first_seen_us > 0) what.push_back(s.say("first", {{"when", s.when(c.first_seen_us)}}));
  const std::string mails = s.count("mails", c.mails), towns = s.count("municipalities", c.municipalities);
  if (c.mails > 0 && c.municipalities > 0)
    what.push_back(s.say("known", {{"mails", mails}, {"municipalities", towns}}));
  else if (c.mails > 0) what.push_back(s.say("known_mails", {{"mails", mails}}));
  else if (c.municipalities > 0) what.push_back(s.say("known_towns", {{"municipalities", towns}}));
  if (c.outside == 1) what.push_back(s.say("outside_one"));
  if (c.outside > 1) what.push_back(s.say("outside", {{"mails", s.count("mails", c.outside)}}));

  const auto subjects = quoted(s, c.subjects);
  if (subjects.size() == 1) how.push_back(s.say("subject.one", {{"subjects", c.subjects[0]}}));
  if (subjects.size() > 1) how.push_back(s.say("subject.other", {{"subjects", s.joined(subjects, "or")}}));
  const Links links = links_of(c);
  if (!links.all.empty()) {
    const auto first = first_of(links.all);
    how.push_back(s.say(
        links.all.size() == 1            ? "link.one"
        : links.all.size() > kLinksShown ? "link.more"
                                         : "link.other",
        {{"links", links.all.size() > kLinksShown ? fmt::format("{}", fmt::join(first, ", ")) : s.joined(first)}}));
  }
  if (qr(c)) how.push_back(s.say("qr"));
  if (device_code(c)) how.push_back(s.say("device_code"));
  else if (login(c)) how.push_back(s.say("login_form"));
  if (has_file(c)) {
    const std::string files = files_of(s, c);
    const auto n =
        std::count_if(c.look_for.begin(), c.look_for.end(), [](const auto& o) { return o.kind == "file_name"; });
    how.push_back(files.empty() ? s.say("attachment.hash")
                                : s.say(n == 1 ? "attachment.one" : "attachment.other", {{"files", files}}));
  }

  if (c.clicks > 0) state.push_back(s.count("clicked", c.clicks));
  state.push_back(s.say(c.lit_by_itself ? "by_itself" : "confirmed"));
  state.push_back(s.say("looking"));
  std::string out = fmt::format("{}", fmt::join(what, " "));
  if (!how.empty()) out += fmt::format("\n\n{}", fmt::join(how, " "));
  return out + fmt::format("\n\n{}", fmt::join(state, " "));
}

std::string staff_of(const Speaker& s, const Case& c, Phase phase) {
  if (phase == Phase::over) return s.say("staff.over");
  if (phase == Phase::withdrawn) return s.say("staff.withdrawn");
  const std::string who(sender(c));
  const auto of = [&](std::string_view key) {
    const std::string whole = std::string(key) + who;
    return who == "named" ? s.say(whole, {{"from", c.from_domain}}) : s.say(whole);
  };
  std::string out = of("staff.head.") + "\n\n" + of("staff.what.");
  if (!c.subjects.empty()) out += " " + s.say("staff.subject", {{"subjects", s.joined(quoted(s, c.subjects), "or")}});
  out += "\n\n";
  std::vector<std::string> steps;
  if (device_code(c)) steps.push_back(s.say("staff.do.device_code"));
  if (qr(c)) steps.push_back(s.say("staff.do.qr"));
  else if (has_link(c)) steps.push_back(s.say("staff.do.link"));
  if (has_file(c)) steps.push_back(s.say("staff.do.file"));
  if (payment(c)) steps.push_back(s.say("staff.do.payment"));
  if (steps.empty()) steps.push_back(s.say("staff.do.any"));
  steps.push_back(s.say("staff.report"));
  for (const auto& step : steps) out += "- " + step + "\n";
  return out + "\n" + s.say("staff.clicked");
}

std::string_view name_of(Advice a) {
  switch (a) {
    case Advice::purge: return "purge";
    case Advice::look_for_clicks: return "look_for_clicks";
    case Advice::end_sessions: return "end_sessions";
    case Advice::apps: return "apps";
    case Advice::rules: return "rules";
    case Advice::device_code: return "device_code";
    case Advice::block_path: return "block_path";
    case Advice::block_host: return "block_host";
    case Advice::block_name: return "block_name";
    case Advice::block_file: return "block_file";
    case Advice::keep_domain: return "keep_domain";
    case Advice::call_known: return "call_known";
    case Advice::phone_payment: return "phone_payment";
    case Advice::qr_code: return "qr_code";
    case Advice::report_not_delete: return "report_not_delete";
  }
  return "report_not_delete";
}

std::pair<std::string, std::string> advise(const Speaker& s, const Case& c, Advice a) {
  const std::string name(name_of(a));
  const Links links = links_of(c);
  const std::string paths = s.joined(first_of(links.paths)), path_hosts = s.joined(first_of(links.path_hosts)),
                    hosts = s.joined(first_of(links.hosts)), names = s.joined(first_of(links.names));
  switch (a) {
    case Advice::block_path:
      return {s.say("do.block_path", {{"paths", paths}, {"hosts", path_hosts}}),
              s.say("why.block_path", {{"hosts", path_hosts}})};
    case Advice::block_host: return {s.say("do.block_host", {{"hosts", hosts}}), s.say("why.block_host")};
    case Advice::block_name: return {s.say("do.block_name", {{"hosts", names}}), s.say("why.block_name")};
    case Advice::keep_domain: return {s.say("do.keep_domain", {{"from", c.from_domain}}), s.say("why.keep_domain")};
    default: return {s.say("do." + name), s.say("why." + name)};
  }
}

event::WarningText text_of(const Speaker& s, const Case& c, Phase phase) {
  event::WarningText t;
  t.language = to_string(s.language);
  t.title = title_of(s, c, phase);
  t.summary = summary_of(s, c, phase);
  t.for_employees = staff_of(s, c, phase);
  t.sms = sms_of(s, c, phase);
  if (phase == Phase::over || phase == Phase::withdrawn) {
    const std::string key = phase == Phase::over ? "over" : "withdrawn";
    t.do_now.push_back(s.say(key + ".do"));
    t.reasons.push_back(s.say(key + ".why"));
    return t;
  }
  for (const Advice a : advice_for(c)) {
    auto [what, why] = advise(s, c, a);
    t.do_now.push_back(std::move(what));
    t.reasons.push_back(std::move(why));
  }
  return t;
}

}  // namespace

std::vector<Advice> advice_for(const Case& c) {
  const Links links = links_of(c);
  std::vector<Advice> out;
  const auto when = [&](bool yes, Advice a) {
    if (yes) out.push_back(a);
  };
  // What helps most comes first: a mail that is gone cannot be clicked, then those who clicked, then the way there.
  when(true, Advice::purge);
  when(has_link(c), Advice::look_for_clicks);
  when(new_right(c), Advice::apps);  // before sessions are ended: an app with its own secret goes on without them
  when(has_link(c) || login(c) || device_code(c), Advice::end_sessions);
  when(new_rule(c), Advice::rules);
  when(has_sign(c, {"device_code"}), Advice::device_code);
  when(!links.paths.empty(), Advice::block_path);
  when(!links.hosts.empty(), Advice::block_host);
  when(!links.names.empty(), Advice::block_name);
  when(has_hash(c), Advice::block_file);
  when(payment(c), Advice::phone_payment);
  when(qr(c), Advice::qr_code);
  when(named(c), Advice::keep_domain);
  when(of_member(c), Advice::call_known);
  when(true, Advice::report_not_delete);
  return out;
}

std::vector<event::WarningText> texts_of(const Catalogue& texts, const Case& c, Phase phase) {
  std::vector<event::WarningText> out;
  for (const Language language : kLanguages) out.push_back(text_of({texts, language}, c, phase));
  return out;
}

std::string printed(const Catalogue& texts, const event::WarningText& text) {
  const Speaker s{texts, language_of(text.language).value_or(Language::en)};
  std::string out = text.title + "\n\n" + text.summary + "\n";
  if (!text.do_now.empty()) {
    out += "\n" + s.say("head.do") + "\n";
    for (std::size_t i = 0; i < text.do_now.size(); ++i) {
      out += fmt::format("{}. {}\n", i + 1, text.do_now[i]);
      if (i < text.reasons.size() && !text.reasons[i].empty())
        out += "   " + s.say("head.because", {{"reason", text.reasons[i]}}) + "\n";
    }
  }
  out += "\n" + s.say("head.staff") + "\n" + text.for_employees + "\n";
  return out + "\n" + s.say("head.sms") + "\n" + text.sms + "\n";
}

std::string day_and_time(const Catalogue& texts, Language language, Instant at) {
  return Speaker{texts, language}.when(micros(at));
}

std::string answer_line(const Catalogue& texts, Language language, const event::WarningAnswer& a) {
  const Speaker s{texts, language};
  std::vector<std::string> parts;
  if (a.state == "received" || a.state == "failed" || a.state == "cannot_know") {
    parts.push_back(s.say("answer." + a.state));
  } else if (a.hits > 0 || a.state == "seen_here") {
    parts.push_back(s.say("answer.seen_here", {{"mails", s.count("mails", a.hits)}, {"logs", s.logs(a.looked_in)}}));
  } else if (a.state == "not_seen") {
    parts.push_back(s.say("answer.not_seen", {{"logs", s.logs(a.looked_in)}}));
  }
  if (a.clicks > 0) parts.push_back(s.count("answer.clicks", a.clicks));
  if (a.purged > 0 && a.purge_left == 0)
    parts.push_back(s.say("answer.purged", {{"mails", s.count("mails", a.purged)}}));
  else if (a.purged > 0 || a.purge_left > 0)
    parts.push_back(
        s.say("answer.purging", {{"mails", s.count("mails", a.purged)}, {"left", number(language, a.purge_left)}}));
  if (a.list_fetched_us) parts.push_back(s.say("answer.list", {{"when", s.when(*a.list_fetched_us, "when_short")}}));
  if (a.blocked_us) parts.push_back(s.say("answer.blocked", {{"when", s.when(*a.blocked_us, "when_short")}}));
  if (!a.cannot_see.empty()) parts.push_back(s.say("answer.blind", {{"logs", s.logs(a.cannot_see)}}));
  return fmt::format("{}.", fmt::join(parts, "; "));
}

}  // namespace bavn::warn
