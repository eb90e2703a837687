#include "act/mandate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/toml_reader.inc"

#include "base/encoding.hpp"
#include "base/local_time.hpp"
#include "base/text.hpp"
#include "base/time.hpp"
#include "base/toml_text.hpp"

namespace bavn::act {

namespace {

constexpr std::string_view kPurpose = "bavn mandate v1";
constexpr std::size_t kMaxFile = 256 * 1024;
constexpr std::size_t kMaxPeople = 200, kMaxProtected = 10'000;

Result<Hours> hours_of(std::string_view text) {
  const auto minutes = [](std::string_view t) -> std::optional<unsigned> {
    if (t.size() != 5 || t[2] != ':' || !ascii_digit(t[0]) || !ascii_digit(t[1]) || !ascii_digit(t[3]) ||
        !ascii_digit(t[4]))
      return std::nullopt;
    const auto digit = [&](std::size_t i) { return static_cast<unsigned>(t[i] - '0'); };
    const unsigned hour = digit(0) * 10 + digit(1), minute = digit(3) * 10 + digit(4);
    if (minute > 59 || hour > 24 || (hour == 24 && minute > 0)) return std::nullopt;
    return hour * 60 + minute;
  };
  const auto from = minutes(text.substr(0, std::min<std::size_t>(5, text.size())));
  const auto to = text.size() == 11 && text[5] == '-' ? minutes(text.substr(6)) : std::nullopt;
  if (!from || !to)
    return fail(Code::bad_input,
                fmt::format("\"{}\" is not a time of day like \"00:00-24:00\" or \"17:00-07:00\"", text));
  return Hours{*from % 1440, *to % 1440};
}

/// Reads one table and notes which keys were asked for: what is left over is a typo.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string name, std::string_view file)
      : table_(table), name_(std::move(name)), file_(file) {}

  Result<std::string> text(std::string_view key) {
    const auto found = node(key).value<std::string>();
    if (!found || trim(*found).empty()) return wrong(key, "must be text in quotes");
    return std::string(trim(*found));
  }
  Result<std::string> text_or(std::string_view key, std::string_view otherwise) {
    const auto found = node(key);
    if (!found) return std::string(otherwise);
    const auto value = found.value<std::string>();
    if (!value) return wrong(key, "must be text in quotes");
    return std::string(trim(*value));  // may be empty
  }
  Result<std::uint64_t> number(std::string_view key, std::uint64_t most) {
    const auto n = node(key).value_exact<std::int64_t>();
    if (!n || *n < 0 || static_cast<std::uint64_t>(*n) > most)
      return wrong(key, fmt::format("must be a whole number from 0 to {}", most));
    return static_cast<std::uint64_t>(*n);
  }
  Result<Instant> time(std::string_view key) {
    BAVN_TRY(const auto text_value, text(key));
    const auto t = parse_time(text_value);
    if (!t) return wrong(key, "must be a time like \"2027-03-01T00:00:00Z\"");
    return *t;
  }
  toml::node_view<const toml::node> node(std::string_view key) {
    asked_.insert(std::string(key));
    return table_[key];
  }
  Result<void> end() {
    for (const auto& [key, value] : table_) {
      if (asked_.contains(std::string(key.str()))) continue;
      const std::vector<std::string_view> known(asked_.begin(), asked_.end());
      const auto near = nearest(key.str(), known);
      return fail(Code::bad_input,
                  fmt::format("[{}] does not know \"{}\"{}", name_, key.str(),
                              near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)),
                  fmt::format("{}:{}", file_, value.source().begin.line));
    }
    return {};
  }
  std::unexpected<Error> wrong(std::string_view key, std::string_view what) {
    const auto found = table_.get(key);
    return fail(
        Code::bad_input, fmt::format("[{}] {} {}", name_, key, found == nullptr ? "is missing" : what),
        fmt::format("{}:{}", file_, found == nullptr ? table_.source().begin.line : found->source().begin.line));
  }

 private:
  const toml::table& table_;
  std::string name_, file_;
  std::set<std::string> asked_;
};

Result<Pinned> person_of(const toml::table& table, std::string_view file) {
  TableReader in(table, "person", file);
  Pinned p;
  BAVN_TRY(p.name, in.text("name"));
  BAVN_TRY(p.of, in.text_or("of", ""));
  BAVN_TRY(p.kind, in.text_or("kind", "ed25519"));
  BAVN_TRY(p.key, in.text("key"));
  BAVN_TRY(const auto may, in.text_or("may", "order"));
  if (may != "order" && may != "second") return in.wrong("may", "is \"order\" or \"second\"");
  p.second_only = may == "second";
  BAVN_TRY(const auto hours, in.text_or("hours", "00:00-24:00"));
  BAVN_TRY(p.hours, hours_of(hours));
  BAVN_CHECK(in.end());
  if (p.kind == "ed25519") {
    const auto key = PublicKey::parse(p.key);
    if (!key) return in.wrong("key", "is damaged: " + key.error().what);
    p.key = key->text();
  }
  return p;
}

Result<ActionRule> rule_of(std::string_view name, const toml::table& table, std::string_view file) {
  TableReader in(table, fmt::format("action.{}", name), file);
  ActionRule rule;
  rule.action = name;
  BAVN_TRY(const auto mode, in.text("mode"));
  if (mode == "off") rule.mode = Mode::off;
  else if (mode == "ask") rule.mode = Mode::ask;
  else if (mode == "act") rule.mode = Mode::act;
  else return in.wrong("mode", "is \"off\", \"ask\" or \"act\"");
  if (rule.mode != Mode::off || in.node("per_hour")) {
    BAVN_TRY(const auto n, in.number("per_hour", 10'000));
    rule.per_hour = static_cast<unsigned>(n);
  }
  BAVN_TRY(const auto hours, in.text_or("hours", "00:00-24:00"));
  BAVN_TRY(rule.hours, hours_of(hours));
  if (name == "purge") {
    BAVN_TRY(const auto signs, in.text_or("signs", "any"));
    if (signs != "any" && signs != "own") return in.wrong("signs", "is \"any\" or \"own\"");
    rule.own_signs_only = signs == "own";
    BAVN_TRY(const auto undo, in.text_or("undo", "ask"));
    if (undo != "ask" && undo != "self") return in.wrong("undo", "is \"ask\" or \"self\"");
    rule.undo_withdrawn = undo == "self";
  }
  BAVN_CHECK(in.end());
  return rule;
}

struct Signature {
  PublicKey by;
  std::string bytes;
};

Result<Signature> read_signature(std::string_view text) {
  Signature s;
  bool has_key = false;
  for (const auto whole : split(text, '\n')) {
    const auto line = trim(whole);
    if (line.starts_with("public: ")) {
      BAVN_TRY(s.by, PublicKey::parse(line.substr(8)));
      has_key = true;
    } else if (line.starts_with("signature: ")) {
      BAVN_TRY(s.bytes, from_base64url(line.substr(11)));
    }
  }
  if (!has_key || s.bytes.size() != 64)
    return fail(Code::bad_input, "the signature file is damaged: sign again with bavn mandate sign");
  return s;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

}  // namespace

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::off: return "off";
    case Mode::ask: return "ask";
    case Mode::act: return "act";
  }
  return "off";
}

const std::vector<ActionFacts>& actions() {
  static const std::vector<ActionFacts> all{
      {"call_me", "calls the duty contact by every way of the contact card", true, false},
      {"purge", "moves named mails out of mailboxes, to where they can be taken back from", true, true},
      {"disable_apps", "disables new apps, consents and secrets of a taken account", false, true},
      {"revoke_sessions", "ends the sessions of a taken account", false, true},
      {"remove_rules", "removes inbox rules and forwarding of a taken account", false, true},
      {"disable_account", "disables a taken account in Entra and in AD", false, true},
      {"block", "blocks an address or a link at the border", false, true},
  };
  return all;
}

bool Hours::holds(unsigned minute) const {
  if (from == to) return true;
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

const ActionRule* Mandate::rule(std::string_view action) const {
  for (const auto& r : rules)
    if (r.action == action) return &r;
  return nullptr;
}

Result<Mandate> Mandate::parse(std::string_view text, std::string_view file) {
  if (text.size() > kMaxFile) return fail(Code::bad_input, "too large for a mandate", std::string(file));
  BAVN_CHECK(plain_outside_quotes(text, file));
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed)
    return fail(Code::bad_input, std::string(parsed.error().description()),
                fmt::format("{}:{}", file, parsed.error().source().begin.line));
  const toml::table& root = parsed.table();
  TableReader top(root, "top", file);
  Mandate m;
  const auto* head = top.node("mandate").as_table();
  if (head == nullptr) return top.wrong("mandate", "must be a table");
  TableReader in(*head, "mandate", file);
  BAVN_TRY(const auto municipality, in.number("municipality", 9999));
  m.municipality.value = static_cast<std::uint16_t>(municipality);
  BAVN_TRY(m.municipality_name, in.text("name"));
  BAVN_TRY(m.zone, in.text("time_zone"));
  if (!local_time(Instant{}, m.zone)) return in.wrong("time_zone", "is not a time zone like \"Europe/Copenhagen\"");
  BAVN_TRY(m.version, in.number("version", 1'000'000'000));
  BAVN_TRY(m.valid_from, in.time("valid_from"));
  BAVN_TRY(m.valid_until, in.time("valid_until"));
  BAVN_CHECK(in.end());

  const auto* leader = top.node("leader").as_table();
  if (leader == nullptr) return top.wrong("leader", "must be a table");
  TableReader who(*leader, "leader", file);
  BAVN_TRY(m.leader.name, who.text("name"));
  BAVN_TRY(m.leader.title, who.text_or("title", ""));
  BAVN_TRY(const auto key, who.text("key"));
  const auto leader_key = PublicKey::parse(key);
  if (!leader_key) return who.wrong("key", "is damaged: " + leader_key.error().what);
  m.leader.key = *leader_key;
  BAVN_CHECK(who.end());

  if (const auto people = top.node("person")) {
    const auto* all = people.as_array();
    if (all == nullptr || all->size() > kMaxPeople)
      return top.wrong("person", "must be written as [[person]], at most 200 times");
    for (const auto& entry : *all) {
      if (!entry.is_table()) return top.wrong("person", "must be written as [[person]]");
      BAVN_TRY(auto person, person_of(*entry.as_table(), file));
      m.people.push_back(std::move(person));
    }
  }
  if (const auto rules = top.node("action")) {
    if (!rules.is_table()) return top.wrong("action", "must be written as [action.call_me]");
    for (const auto& [name, value] : *rules.as_table()) {
      const auto known =
          std::find_if(actions().begin(), actions().end(), [&](const auto& a) { return a.name == name.str(); });
      if (known == actions().end() || !value.is_table()) {
        std::vector<std::string_view> names;
        for (const auto& a : actions()) names.push_back(a.name);
        const auto near = nearest(name.str(), names);
        return fail(Code::bad_input,
                    fmt::format("there is no action \"{}\"{}", name.str(),
                                near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)),
                    fmt::format("{}:{}", file, value.source().begin.line));
      }
      BAVN_TRY(auto rule, rule_of(name.str(), *value.as_table(), file));
      m.rules.push_back(std::move(rule));
    }
  }
  if (const auto* table = top.node("protected").as_table()) {
    TableReader guard(*table, "protected", file);
    const auto* accounts = guard.node("accounts").as_array();
    if (accounts == nullptr || accounts->size() > kMaxProtected)
      return guard.wrong("accounts", "must be a list of account names");
    for (const auto& entry : *accounts) {
      const auto name = entry.value<std::string>();
      if (!name || trim(*name).empty()) return guard.wrong("accounts", "must be a list of account names");
      m.protected_accounts.push_back(to_lower_utf8(trim(*name)));
    }
    BAVN_CHECK(guard.end());
  }
  BAVN_CHECK(top.end());
  return m;
}

bool MandateCheck::holds() const {
  return mandate.has_value() && std::none_of(findings.begin(), findings.end(), [](const auto& f) { return f.blocks; });
}

MandateFiles MandateFiles::in(const std::string& folder) {
  return {folder + "/mandate.toml", folder + "/mandate.toml.sig", folder + "/leader.pub"};
}

MandateCheck check_mandate(Files& files, const MandateFiles& at, MunicipalityId own, Instant now) {
  MandateCheck check;
  const auto bad = [&](std::string what) { check.findings.push_back({true, std::move(what)}); };
  const auto hint = [&](std::string what) { check.findings.push_back({false, std::move(what)}); };
  if (!files.exists(at.mandate)) {
    bad("there is no mandate: make one with bavn mandate new, and let the leader sign it");
    return check;
  }
  const auto text = read_file(files, at.mandate, kMaxFile);
  if (!text) {
    bad(to_string(text.error()));
    return check;
  }
  auto mandate = Mandate::parse(*text, at.mandate);
  if (!mandate) {
    bad(to_string(mandate.error()));
    return check;
  }
  const Mandate& m = *mandate;

  if (!files.exists(at.signature)) {
    bad(fmt::format("the mandate is not signed: {} signs it with bavn mandate sign", m.leader.name));
  } else {
    const auto signature_text = read_file(files, at.signature, kMaxFile);
    const auto signature = signature_text ? read_signature(*signature_text) : std::unexpected(signature_text.error());
    if (!signature) bad(to_string(signature.error()));
    else if (signature->by != m.leader.key)
      bad(fmt::format("the mandate was signed by somebody else than its leader {}", m.leader.name));
    else if (!m.leader.key.verify(kPurpose, *text, signature->bytes))
      bad(fmt::format(
          "the mandate was changed after {} signed it: let it be read and signed again with bavn mandate sign",
          m.leader.name));
  }
  if (!files.exists(at.leader)) {
    bad("no leader is pinned on this machine: the first bavn mandate sign does it");
  } else {
    const auto pinned_text = read_file(files, at.leader, kMaxFile);
    const auto pinned = pinned_text ? PublicKeyFile::parse(*pinned_text) : std::unexpected(pinned_text.error());
    if (!pinned) bad(to_string(pinned.error()));
    else if (pinned->key != m.leader.key)
      bad(
          fmt::format("the mandate's leader {} is not the one pinned on this machine ({}): if the leader changed, "
                      "delete {} here and sign again",
                      m.leader.name, pinned->owner, at.leader));
  }

  if (m.municipality != own)
    bad(fmt::format("the mandate is for municipality {}, this node belongs to {}", m.municipality.value, own.value));
  if (m.valid_until <= m.valid_from) bad("valid_until must be later than valid_from");
  if (now < m.valid_from) bad(fmt::format("the mandate begins {}", format_time(m.valid_from)));
  if (now >= m.valid_until)
    bad(fmt::format("the mandate ended {}: read it, set a new valid_until and sign again", format_time(m.valid_until)));
  else if (now >= m.valid_until - std::chrono::days{30})
    hint(fmt::format("the mandate ends {}", format_time(m.valid_until)));

  std::set<std::string> keys{m.leader.key.text()};
  std::set<std::string> orderers;
  for (const auto& p : m.people) {
    if (p.kind != "ed25519") {
      hint(fmt::format("{}: this version cannot check a signature of kind \"{}\"; it never counts", p.name, p.kind));
      continue;
    }
    if (p.key == m.leader.key.text())
      bad(fmt::format("{} has the leader's key: who allows must not also order", p.name));
    else if (!keys.insert(p.key).second)
      bad(fmt::format("the key of {} stands in the mandate twice: two signatures must be of two people", p.name));
    if (!p.second_only) orderers.insert(to_lower_utf8(p.name));
  }
  std::set<std::string> names;
  for (const auto& p : m.people) names.insert(to_lower_utf8(p.name));
  const bool any_on = std::any_of(m.rules.begin(), m.rules.end(), [](const auto& r) { return r.mode != Mode::off; });
  if (any_on && (orderers.empty() || names.size() < 2))
    bad("an order needs two people: name at least two as [[person]], one of them with may = \"order\"");
  for (const auto& r : m.rules) {
    const auto facts =
        std::find_if(actions().begin(), actions().end(), [&](const auto& a) { return a.name == r.action; });
    if (r.mode == Mode::off) continue;
    if (!facts->available)
      bad(fmt::format("[action.{}] this version cannot do that yet: set mode = \"off\"", r.action));
    else if (r.mode == Mode::ask && !facts->may_ask)
      bad(fmt::format("[action.{}] asking first makes no sense here: set mode to \"off\" or \"act\"", r.action));
    if (r.per_hour == 0)
      bad(fmt::format("[action.{}] per_hour = 0 allows nothing: set a limit, or mode = \"off\"", r.action));
  }
  check.mandate = std::move(*mandate);
  return check;
}

Result<void> new_mandate(Files& files, const MandateFiles& at, const MandateAnswers& a, Instant now) {
  if (files.exists(at.mandate))
    return fail(Code::conflict, "there is a mandate: edit it and sign it again, or move it away first", at.mandate);
  const auto day = std::chrono::floor<std::chrono::days>(now);
  std::string text = fmt::format(
      "# What others may do in the name of {0}. This file counts only here, and only with the leader's signature "
      "beside it.\n"
      "# After every change: bavn mandate check, then the leader: bavn mandate sign. Explained in docs/mandate.md.\n\n"
      "[mandate]\nversion = 1            # one more with each change\nmunicipality = {1}\nname = {2}\ntime_zone = {3}\n"
      "valid_from = \"{4}\"\nvalid_until = \"{5}\"   # a year at most is a good habit\n\n"
      "[leader]                # who answers for this\nname = {6}\ntitle = {7}\nkey = \"{8}\"\n",
      a.municipality_name, a.municipality.value, quoted(a.municipality_name), quoted(a.zone), format_time(day),
      format_time(day + std::chrono::days{365}), quoted(a.leader_name), quoted(a.leader_title), a.leader_key.text());
  text +=
      "\n# People whose signature counts. An order needs two different ones, at least one with may = \"order\".\n"
      "# may = \"second\": counts only as the second, for example your own duty contact at night, hours = "
      "\"17:00-07:00\".\n";
  for (const auto& p : a.people)
    text += fmt::format("[[person]]\nname = {}\nof = {}\nkey = \"{}\"\nmay = \"{}\"\n\n", quoted(p.name), quoted(p.of),
                        p.key, p.second_only ? "second" : "order");
  text += "# off: never. ask: only after a yes from here. act: at once, within the limits.\n";
  for (const auto& facts : actions())
    text +=
        facts.name == "purge"
            ? fmt::format(
                  "[action.purge]          # {}; docs/purge.md\n"
                  "mode = \"off\"            # \"ask\": your duty contact is asked each time\n"
                  "per_hour = 1000         # copies of mails\nhours = \"00:00-24:00\"\n"
                  "signs = \"any\"           # \"own\": a second sign counts only when this machine saw it itself\n"
                  "undo = \"ask\"            # \"self\": a warning taken back is undone at once\n\n",
                  facts.what)
        : facts.available
            ? fmt::format("[action.{}]        # {}\nmode = \"act\"\nper_hour = 6\nhours = \"00:00-24:00\"\n\n",
                          facts.name, facts.what)
            : fmt::format("[action.{}]        # {} (not in this version)\nmode = \"off\"\n\n", facts.name, facts.what);
  text +=
      "# Accounts that no order may touch: break-glass accounts, the mayor's, machines.\n[protected]\naccounts = []\n";
  BAVN_CHECK(Mandate::parse(text, at.mandate));
  return replace_file(files, at.mandate, text);
}

Result<void> sign_mandate(Files& files, const MandateFiles& at, const SigningKey& leader, Instant now) {
  BAVN_TRY(const auto text, read_file(files, at.mandate, kMaxFile));
  BAVN_TRY(const auto mandate, Mandate::parse(text, at.mandate));
  if (mandate.leader.key != leader.public_key())
    return fail(Code::forbidden,
                fmt::format("this is not the key of {}, the leader in the mandate", mandate.leader.name), at.mandate);
  if (files.exists(at.leader)) {
    BAVN_TRY(const auto pinned_text, read_file(files, at.leader, kMaxFile));
    BAVN_TRY(const auto pinned, PublicKeyFile::parse(pinned_text));
    if (pinned.key != leader.public_key())
      return fail(
          Code::forbidden,
          fmt::format(
              "another leader is pinned on this machine ({}): if the leader changed, delete this file and sign again",
              pinned.owner),
          at.leader);
  } else {
    BAVN_CHECK(replace_file(files, at.leader, PublicKeyFile{leader.public_key(), mandate.leader.name}.text()));
  }
  return replace_file(
      files, at.signature,
      fmt::format("# Signature of the mandate beside it.\nsigned by: {}\nat: {}\npublic: {}\nsignature: {}\n",
                  mandate.leader.name, format_time(now), leader.public_key().text(),
                  to_base64url(leader.sign(kPurpose, text))));
}

}  // namespace bavn::act
