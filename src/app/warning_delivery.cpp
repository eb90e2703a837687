#include "app/warnings.hpp"

#include "net/json_value.hpp"

namespace bavn::app {

warn::Deliver warning_delivery(notify::Notify& notify) {
  return [&notify](store::Tx& tx, const warn::Delivery& d) -> Result<std::size_t> {
    notify::News news{.municipality = d.municipality,
                      .kind = d.about.starts_with("question:") ? "question" : "warning",
                      .about = d.about,
                      .words = {},
                      .urgent = d.urgent,
                      .taken = d.taken,
                      .until = d.until};
    for (const auto& w : d.words)
      if (const auto language = language_of(w.language))
        news.words.push_back({*language, w.subject, w.body, w.sms, w.call_only_subject, w.call_only});
    if (news.words.empty()) return fail(Code::bad_input, "a message without words", d.about);
    return notify.tell(tx, news);
  };
}

warn::Remind warning_reminder(notify::Notify& notify) {
  return [&notify, texts = Catalogue::embedded()](store::Tx& tx, const warn::Reminder& r) -> Result<std::size_t> {
    notify::News news{.municipality = r.municipality,
                      .kind = "warning",
                      .about = "warning:" + r.warning,
                      .words = {},
                      .urgent = true,
                      .taken = r.taken,
                      .until = tx.now() + std::chrono::hours{24}};
    for (const auto& t : r.texts) {
      const auto language = language_of(t.language);
      if (!language) continue;
      const auto say = [&](std::string_view key, Catalogue::Values values = {}) {
        return texts.say(*language, key, values);
      };
      const std::string severity = say("warn.severity." + r.severity);
      news.words.push_back({*language, say("warn.tell.again", {{"title", t.title}}),
                            say("warn.tell.away_text") + "\n\n" + warn::printed(texts, t), t.sms,
                            say("warn.call.subject", {{"severity", severity}}), say("warn.call.text")});
    }
    if (news.words.empty()) return fail(Code::bad_input, "a warning without texts", r.warning);
    return notify.tell(tx, news);
  };
}

Result<void> note_told(store::State& state, warn::NodeDesk& desk, const store::DomainEvent& event) {
  constexpr std::string_view kAbout = "warning:";
  if (event.kind != "message.delivered") return {};
  BAVN_TRY(const auto detail, net::JsonDocument::parse(event.detail));
  const auto about = detail.root()["about"].text_or("");
  if (!about.starts_with(kAbout)) return {};
  return state.write_now([&, id = std::string(about.substr(kAbout.size()))](store::Tx& tx) {
    return desk.told(tx, id, MunicipalityId{static_cast<std::uint16_t>(event.municipality)}, from_micros(event.at_us));
  });
}

}  // namespace bavn::app
