// What is written to those outside the community who got the mail: a list, and a letter each.
#include <fmt/format.h>

#include "base/local_time.hpp"
#include "correlate/campaigns.hpp"

namespace bavn::correlate {

namespace {

/// Hostile text on its way to people: it cannot be clicked, and no cell of a table begins a formula.
std::string harmless(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size() && out.size() < 500; ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) < 0x20) out += ' ';
    else if (c == '.') out += "[.]";
    else if (c == '@') out += "[@]";
    else out += c;
  }
  return out;
}

std::string local(std::int64_t us, std::string_view zone) {
  const auto t = local_time(from_micros(us), zone);
  if (!t) return format_time(from_micros(us));
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}", t->year, t->month, t->day, t->hour, t->minute);
}

}  // namespace

std::string outside_csv(const CampaignFacts& facts) {
  std::string out = "domain,kind,first_seen,told_by,told_at\n";
  for (const auto& o : facts.outside) {
    std::string by;
    for (const char c : o.told_by) by += c == '"' ? "\"\"" : std::string(1, c);
    if (!by.empty() && std::string_view("=+-@").contains(by.front())) by.insert(by.begin(), '\'');
    out += fmt::format("{},{},{},\"{}\",{}\n", o.domain, o.kind, format_time(from_micros(o.first_us)), by,
                       o.told_us > 0 ? format_time(from_micros(o.told_us)) : std::string());
  }
  return out;
}

Letter letter_to(const CampaignFacts& facts, const OutsideRecipient& to, const LetterFrom& from, Language language,
                 const Catalogue& texts, bool name_sender) {
  const std::string id = fmt::format("B-{}", facts.campaign.id);
  // Whole minutes, and a little wider than what is known.
  const std::string begin = local(facts.campaign.first_us, from.zone),
                    end = local(std::max(facts.campaign.last_us, facts.campaign.first_us) + 59'999'999, from.zone);
  std::string sender;
  for (const auto& s : facts.senders)
    if (!s.domain.empty() && !sender.contains(s.domain)) sender += (sender.empty() ? "" : ", ") + s.domain;
  const bool named = name_sender && !sender.empty();
  std::string body = named ? texts.say(language, "correlate.letter.intro_named",
                                       {{"domain", to.domain}, {"from", begin}, {"until", end}, {"sender", sender}})
                           : texts.say(language, "correlate.letter.intro_unnamed",
                                       {{"domain", to.domain}, {"from", begin}, {"until", end}});
  std::string list;
  int lines = 0;
  for (const auto& o : facts.observables) {
    if (o.kind == "email" && !named) continue;
    if (++lines > 20) break;
    list += fmt::format("\n- {}: {}", o.kind, harmless(o.value));
  }
  if (!list.empty()) body += "\n\n" + texts.say(language, "correlate.letter.look_for") + list;
  body += "\n\n" + texts.say(language, "correlate.letter.advice");
  body += "\n\n" + texts.say(language, "correlate.letter.end",
                             {{"cert", from.cert}, {"phone", from.phone}, {"mail", from.mail}, {"case", id}});
  return {texts.say(language, "correlate.letter.subject", {{"case", id}}), std::move(body)};
}

}  // namespace bavn::correlate
