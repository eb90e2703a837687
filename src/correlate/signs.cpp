#include "correlate/signs.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace bavn::correlate {

namespace {

struct Known {
  std::string_view kind;
  SignWorth worth;
};
/// Strong: nothing harmless does it. Weak: harmless mail does it now and then (a QR code on an invitation, a traveller's sign-in).
constexpr Known kKnown[] = {
    {"login_form", {Strength::strong, "login_form"}},
    {"vendor_verdict", {Strength::weak, "vendor_verdict"}},  // of several municipalities: strong, see weigh()
    {"login_after_click", {Strength::strong, "login_after_click"}},
    {"sign_in_after_click", {Strength::strong, "login_after_click"}},
    {"person_yes", {Strength::strong, "person_yes"}},
    {"risk_alert", {Strength::weak, "risk_alert"}},
    {"qr_code", {Strength::weak, "qr_code"}},
    {"active_attachment", {Strength::weak, "active_attachment"}},
    {"new_host", {Strength::weak, "new_host"}},
    {"click", {Strength::none, ""}},
    {"mass_sending", {Strength::none, ""}},
};

}  // namespace

bool known_group(std::string_view group) {
  return group == "identity" || group == "payload" || group == "harm" || group == "intelligence";
}

int takeover_level(std::string_view level) {
  return level == "suspected" ? 0 : level == "likely" ? 1 : level == "sure" ? 2 : -1;
}

SignWorth worth_of(const SignFact& sign, const Options& options) {
  if (sign.group != "payload" && sign.group != "harm") return {};
  for (int level = 0; level < 3; ++level)
    if (sign.kind == kTakeoverKinds[level])
      return {level >= takeover_level(options.light_takeover) ? Strength::strong : Strength::weak, "takeover"};
  for (const auto& k : kKnown)
    if (sign.kind == k.kind) return k.worth;
  if (event::takeover_sign(sign.kind)) return {Strength::weak, "takeover"};
  if (sign.kind == "reported") return {Strength::none, "reported"};
  return {Strength::weak, "other"};  // a kind that newer nodes know
}

Weight weigh(const std::vector<SignFact>& signs, std::int64_t mails, const Options& o, std::int64_t not_of) {
  Weight w;
  std::set<std::string_view> weak_harm, weak_payload;
  std::set<std::int64_t> reporting, fell, verdicts;
  std::map<std::string_view, const SignFact*> second;
  const SignFact* report = nullptr;
  bool strong = false;
  for (const auto& s : signs) {
    if (not_of != 0 && s.municipality == not_of) continue;
    const SignWorth worth = worth_of(s, o);
    strong |= worth.strength == Strength::strong;
    if (worth.strength == Strength::weak) (s.group == "harm" ? weak_harm : weak_payload).insert(worth.family);
    if (s.group == "identity") w.identity = true;
    if (s.group == "payload") w.payload = true;
    if (s.group == "intelligence") w.intelligence = true;
    if (s.kind == "click") w.clicks += s.count;
    if (s.kind == "vendor_verdict") verdicts.insert(s.municipality);
    if (s.kind == "reported") {
      w.reporters += s.count;
      reporting.insert(s.municipality);
      report = &s;
    }
    if (s.group == "harm") {
      if (worth.strength != Strength::none) w.harm = true;
      if (worth.family == "takeover" || event::takeover_sign(s.kind)) w.takeover = true;
      for (int level = 0; level < 3; ++level)
        if (s.kind == kTakeoverKinds[level]) w.takeover_level = std::max(w.takeover_level, level);
      if (worth.family == "login_after_click") fell.insert(s.municipality);
    }
    if (worth.strength != Strength::none || s.group == "intelligence") {
      // Kinds nobody knows are one: each new second sign is told to every receiver.
      const auto [it, added] =
          second.try_emplace(worth.family == "other" ? worth.family : std::string_view(s.kind), &s);
      if (!added && s.at_us < it->second->at_us) it->second = &s;
    }
  }
  w.reporting_municipalities = static_cast<std::int64_t>(reporting.size());
  w.fell = static_cast<std::int64_t>(fell.size());
  // A wide mail is reported by somebody, whatever it is.
  const std::int64_t share = mails * o.reporters_permille / 1000;
  if (w.reporters >= std::max(o.reporters, share)) {
    w.harm = true;
    second.try_emplace("reported", report);
  }
  if (w.reporting_municipalities >= o.light_reporting_municipalities) {
    if (w.reporters >= std::max(o.light_reporters, share)) weak_harm.insert("reported");
    if (w.reporters >= std::max(o.light_reports_alone, 2 * share)) strong = true;
  }
  // A filter is wrong about one mail in thousands; that it is wrong twice about the same is rare.
  if (std::ssize(verdicts) >= o.light_verdicts) strong = true;
  w.lights = strong || weak_harm.size() >= 2 || (!weak_harm.empty() && !weak_payload.empty());
  // Receivers empty mailboxes on these: a QR code, a new host or a traveller's sign-in alone is no reason (measured: harmless mass mail of a
  // simulated week was moved out of mailboxes by them).
  if (w.lights || second.contains("reported"))
    for (const auto& [kind, s] : second) w.second.push_back({s->group, s->kind, s->at_us, s->detail});
  return w;
}

}  // namespace bavn::correlate
