#include "notify/notify.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/local_time.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "net/webhook.hpp"

namespace bavn::notify {

struct MessageRow {
  std::int64_t id;
  std::string public_id;
  std::int64_t way;
  std::string kind, about;
  MunicipalityId municipality;
  std::string subject, body;
  Instant made_at_us, until_us;
  std::string state;
  std::optional<Instant> done_at_us;
  std::string short_text, address, headers;
};
BOOST_DESCRIBE_STRUCT(MessageRow, (),
                      (id, public_id, way, kind, about, municipality, subject, body, made_at_us, until_us, state,
                       done_at_us, short_text, address, headers))

struct WayAddressRow {
  std::string kind, address;
  std::optional<std::string> secret;
};
BOOST_DESCRIBE_STRUCT(WayAddressRow, (), (kind, address, secret))

struct AttemptRow {
  Instant at_us;
  bool good;
  std::string answer;
};
BOOST_DESCRIBE_STRUCT(AttemptRow, (), (at_us, good, answer))

struct ConfirmRow {
  std::int64_t message, way;
  std::string about;
  Instant expires_at_us;
  std::optional<Instant> confirmed_at_us;
};
BOOST_DESCRIBE_STRUCT(ConfirmRow, (), (message, way, about, expires_at_us, confirmed_at_us))

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kJob = "notify.send", kLetterJob = "notify.letter";
constexpr std::string_view kMessages =
    "SELECT id, public_id, way, kind, about, municipality, subject, body, made_at_us, until_us, state, done_at_us, "
    "short "
    "AS short_text, address, headers FROM notify_message ";
constexpr unsigned kAtOnce = 4;
constexpr Duration kGuessWindow = 15min;
constexpr std::size_t kCodeBytes = 5;  // 8 characters of base32

std::string digest_of(std::string_view bytes) {
  return sha256(std::string("bavn confirmation v1") + std::string(bytes));
}

/// Four and four characters: what people read from one screen and type on another.
std::string readable(std::string_view bytes) {
  std::string text = to_base32(bytes);
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return text.substr(0, 4) + "-" + text.substr(4);
}

Language language(const tenants::Person& person) {
  return language_of(person.language).value_or(Language::en);
}

bool can_be_sent(const tenants::ContactWay& way) {
  return way.kind != tenants::WayKind::phone;
}

/// The text with three dots where the address stood.
std::string without(std::string_view text, std::string_view address) {
  std::string out(text);
  for (auto at = to_lower(out).find(address); at != std::string::npos; at = to_lower(out).find(address, at + 3))
    out.replace(at, address.size(), "...");
  return out;
}

std::string detail_of(const MessageRow& m) {
  std::string json;
  JsonWriter(json).object().member("about", m.about).member("way", m.way).end();
  return json;
}

std::string webhook_body(const MessageRow& m) {
  std::string body;
  JsonWriter w(body);
  w.object().member("type", "bavn." + m.kind).member("timestamp", format_time(m.made_at_us));
  w.key("data").object().member("municipality", static_cast<std::int64_t>(m.municipality.value));
  w.member("about", m.about).member("subject", m.subject).member("text", m.body).end().end();
  return body;
}

}  // namespace

Result<std::unique_ptr<Notify>> Notify::open(Runtime& runtime, store::State& state, net::Client& client,
                                             MailCarrier* mail, const Catalogue& texts, NotifyOptions options) {
  std::unique_ptr<Notify> notify(new Notify(runtime, state, client, mail, texts, std::move(options)));
  notify->queue_ = runtime.queue({.name = "notify", .threads = 1, .limit = 10000});
  state.on_job_async(
      std::string(kJob), notify->queue_,
      [n = notify.get()](const store::Job& job, store::Done done) { n->deliver(job, std::move(done)); }, 100'000,
      kAtOnce);  // how long is tried is the message's until_us to say
  state.on_job_async(
      std::string(kLetterJob), notify->queue_,
      [n = notify.get()](const store::Job& job, store::Done done) { n->deliver(job, std::move(done)); }, 100'000,
      1);  // one at a time: a call in the night waits for one letter at most
  return notify;
}

Result<std::int64_t> Notify::add(store::Tx& tx, const NewMessage& m) {
  std::string random(15, '\0');
  runtime_.random(std::as_writable_bytes(std::span(random)));
  BAVN_CHECK(tx.exec(
      "INSERT INTO notify_message (public_id, way, kind, about, municipality, subject, body, made_at_us, "
      "until_us, state, short, address, headers) VALUES "
      "(:public, :way, :kind, :about, :m, :subject, :body, :now, :until, 'waiting', :short, :address, :headers)",
      {{"public", "msg_" + to_base32(random)},
       {"way", m.way},
       {"kind", m.kind},
       {"about", m.about},
       {"m", m.municipality},
       {"subject", m.subject},
       {"body", m.body},
       {"now", tx.now()},
       {"until", m.until},
       {"short", m.sms},
       {"address", m.address},
       {"headers", m.headers}}));
  const auto id = tx.last_id();
  BAVN_CHECK(tx.add_job(m.address.empty() ? kJob : kLetterJob, std::to_string(id), "{}"));
  return id;
}

Result<std::size_t> Notify::send_test(store::Tx& tx, const tenants::Person& person, std::string_view municipality_name,
                                      std::string_view zone, std::string_view about) {
  std::size_t sent = 0;
  const Instant until = tx.now() + options_.code_valid;
  BAVN_TRY(const auto until_text, format_local(until, zone));
  for (const auto& way : person.ways) {
    if (!can_be_sent(way)) continue;
    std::string code(kCodeBytes, '\0');
    runtime_.random(std::as_writable_bytes(std::span(code)));
    const std::string typed = readable(code);
    const auto lang = language(person);
    const std::string how = options_.confirm_url.empty()
                                ? texts_.say(lang, "notify.test.how_typed", {{"code", typed}})
                                : texts_.say(lang, "notify.test.how_link", {{"url", options_.confirm_url + typed}});
    BAVN_TRY(
        const auto id,
        add(tx, {.way = way.id,
                 .kind = "test",
                 .about = std::string(about),
                 .municipality = person.municipality,
                 .subject = texts_.say(lang, "notify.test.subject"),
                 .body = texts_.say(lang, "notify.test.body",
                                    {{"name", person.name},
                                     {"municipality", municipality_name},
                                     {"code", typed},
                                     {"how", how},
                                     {"until", until_text}}),
                 .until = until,
                 .sms = texts_.say(lang, "notify.test.sms", {{"municipality", municipality_name}, {"code", typed}})}));
    BAVN_CHECK(tx.exec(
        "INSERT INTO notify_code (digest, message, way, about, expires_at_us) VALUES (:d, :id, :way, :about, :until)",
        {{"d", store::Blob{digest_of(code)}}, {"id", id}, {"way", way.id}, {"about", about}, {"until", until}}));
    BAVN_CHECK(tx.audit({"bavn", "notify.test", fmt::format("way:{}", way.id), fmt::format("{{\"message\":{}}}", id)}));
    ++sent;
  }
  if (sent == 0)
    return fail(Code::not_found,
                fmt::format("{} has no webhook and no mail address that a test could go to", person.name));
  return sent;
}

Result<std::size_t> Notify::call(store::Tx& tx, const CallMe& call) {
  BAVN_TRY(const auto contacts,
           tenants::people_with_role(tx, call.municipality, tenants::Role::duty_contact, tx.now()));
  std::size_t sent = 0;
  for (const auto& person : contacts) {
    const auto lang = language(person);
    std::string people;
    for (const auto& name : call.people)
      people = people.empty() ? name : texts_.say(lang, "notify.call.and", {{"first", people}, {"second", name}});
    for (const auto& way : person.ways) {
      if (!can_be_sent(way)) continue;
      BAVN_CHECK(
          add(tx, {.way = way.id,
                   .kind = "call_me",
                   .about = "order:" + call.order,
                   .municipality = call.municipality,
                   .subject = texts_.say(lang, "notify.call.subject", {{"municipality", call.municipality_name}}),
                   .body = texts_.say(
                       lang, "notify.call.body",
                       {{"name", person.name}, {"people", people}, {"reason", call.reason}, {"order", call.order}}),
                   .until = call.until,
                   .sms = texts_.say(lang, "notify.call.sms",
                                     {{"municipality", call.municipality_name}, {"people", people}})}));
      ++sent;
    }
  }
  if (sent == 0)
    return fail(Code::not_found,
                fmt::format("{} has no duty contact with a webhook or a mail address: add one with bavn contact add",
                            call.municipality_name));
  return sent;
}

Result<std::size_t> Notify::tell(store::Tx& tx, const News& news) {
  BAVN_ASSERT(!news.words.empty());
  std::vector<tenants::Person> people;
  for (const auto role : {tenants::Role::duty_contact, tenants::Role::municipal_it}) {
    BAVN_TRY(auto more, tenants::people_with_role(tx, news.municipality, role, tx.now()));
    for (auto& person : more)
      if (std::none_of(people.begin(), people.end(), [&](const auto& p) { return p.id == person.id; }))
        people.push_back(std::move(person));
  }
  std::size_t sent = 0;
  for (const auto& person : people) {
    const auto lang = language(person);
    auto words = std::find_if(news.words.begin(), news.words.end(), [&](const auto& w) { return w.language == lang; });
    if (words == news.words.end()) words = news.words.begin();
    for (const auto& way : person.ways) {
      if (!can_be_sent(way) || (way.kind == tenants::WayKind::sms && !news.urgent)) continue;
      // An SMS never passes the municipality's own mail; what else is not said to be outside may be read by who took it.
      const bool seen_by_others = news.taken && !way.outside_tenant && way.kind != tenants::WayKind::sms;
      BAVN_CHECK(add(tx, {.way = way.id,
                          .kind = news.kind,
                          .about = news.about,
                          .municipality = news.municipality,
                          .subject = seen_by_others ? words->call_only_subject : words->subject,
                          .body = seen_by_others ? words->call_only : words->body,
                          .until = news.until,
                          .sms = seen_by_others ? std::string() : words->sms}));
      ++sent;
    }
  }
  return sent;
}

Result<std::size_t> Notify::ask(store::Tx& tx, const AskPurge& q) {
  BAVN_TRY(const auto contacts, tenants::people_with_role(tx, q.municipality, tenants::Role::duty_contact, tx.now()));
  BAVN_TRY(const auto until, format_local(q.until, q.zone));
  const auto mailboxes = std::to_string(q.mailboxes);
  std::size_t sent = 0;
  for (const auto& person : contacts) {
    const auto lang = language(person);
    std::string because;
    for (const auto& b : q.because)
      because += (because.empty() ? "" : "; ") + texts_.say(lang, "notify.purge.because." + b);
    for (const auto& way : person.ways) {
      if (!can_be_sent(way)) continue;
      BAVN_CHECK(add(tx, {.way = way.id,
                          .kind = "purge",
                          .about = "purge:" + q.notice,
                          .municipality = q.municipality,
                          .subject = texts_.say(lang, "notify.purge.subject",
                                                {{"municipality", q.municipality_name}, {"mailboxes", mailboxes}}),
                          .body = texts_.say(lang, "notify.purge.body",
                                             {{"name", person.name},
                                              {"sender", q.sender},
                                              {"municipality", q.municipality_name},
                                              {"mailboxes", mailboxes},
                                              {"because", because},
                                              {"notice", q.notice},
                                              {"code", q.code},
                                              {"until", until}}),
                          .until = q.until,
                          .sms = texts_.say(lang, "notify.purge.sms",
                                            {{"municipality", q.municipality_name},
                                             {"mailboxes", mailboxes},
                                             {"notice", q.notice},
                                             {"code", q.code},
                                             {"until", until}})}));
      ++sent;
    }
  }
  if (sent == 0)
    return fail(Code::not_found,
                fmt::format("{} has no duty contact with a webhook or a mail address: add one with bavn contact add",
                            q.municipality_name));
  return sent;
}

Result<void> Notify::post(store::Tx& tx, const Letter& letter) {
  BAVN_ASSERT(!letter.to.empty());
  BAVN_CHECK(add(tx, {.way = 0,
                      .kind = letter.kind,
                      .about = letter.about,
                      .municipality = {},
                      .subject = letter.subject,
                      .body = letter.body,
                      .until = letter.until,
                      .address = letter.to,
                      .headers = letter.headers}));
  return {};
}

Result<void> Notify::recall(store::Tx& tx, std::string_view about) {
  BAVN_CHECK(
      tx.exec("UPDATE notify_message SET state = 'given_up', subject = '', body = '', address = '', headers = '', "
              "done_at_us = :now, "
              "answer = 'recalled' WHERE about = :about AND way = 0 AND state = 'waiting'",
              {{"now", tx.now()}, {"about", about}}));
  return {};
}

void Notify::deliver(const store::Job& job, store::Done done) {
  struct Found {
    std::optional<MessageRow> message;
    std::optional<WayAddressRow> way;
  };
  auto found = state_.read([&](store::Reader& db) -> Result<Found> {
    Found f;
    BAVN_TRY(f.message,
             db.one<MessageRow>(std::string(kMessages) + "WHERE id = :id", {{"id", std::stoll(job.subject)}}));
    if (f.message && !f.message->address.empty()) {
      f.way = WayAddressRow{"mail", f.message->address, {}};
    } else if (f.message) {
      BAVN_TRY(f.way, db.one<WayAddressRow>("SELECT kind, address, secret FROM contact_way WHERE id = :way",
                                            {{"way", f.message->way}}));
    }
    return f;
  });
  if (!found) return done(std::unexpected(found.error()));
  if (!found->message || found->message->state != "waiting") return done({});
  const MessageRow& m = *found->message;
  const bool too_late = runtime_.now() >= m.until_us;
  if (too_late || !found->way) {
    const std::string why = too_late ? "too late: it was to arrive until " + format_time(m.until_us)
                                     : "this way to reach the person was removed";
    state_.write(
        [id = m.id, why, detail = detail_of(m), of = m.municipality,
         letter = !m.address.empty()](store::Tx& tx) -> Result<void> {
          BAVN_CHECK(
              tx.exec("UPDATE notify_message SET state = 'given_up', body = '', subject = CASE way WHEN 0 THEN '' ELSE "
                      "subject END, short = '', address = '', headers = '', "
                      "done_at_us = :now, answer "
                      "= :why WHERE "
                      "id = :id AND state = 'waiting'",
                      {{"now", tx.now()}, {"why", why}, {"id", id}}));
          if (letter) return {};
          BAVN_CHECK(tx.audit({"bavn", "message.given_up", fmt::format("message:{}", id), "{}"}));
          return tx.emit("message.given_up", fmt::format("message:{}", id), detail, of);
        },
        std::move(done));
    return;
  }
  // Never waits for longer than the message is good for: `done` always comes.
  if (found->way->kind == "webhook") {
    const std::string body = webhook_body(m);
    auto headers = net::webhook_headers(found->way->secret.value_or(""), m.public_id, runtime_.now(), body);
    if (!headers) return attempted(m.id, std::unexpected(headers.error()), std::move(done));
    net::ClientRequest request{.method = net::Method::post, .url = found->way->address};
    request.headers = std::move(*headers);
    request.body = body;
    request.max_reply = 64U << 10U;
    return client_.send(std::move(request), queue_,
                        [this, id = m.id, done = std::move(done)](Result<net::ClientReply> reply) mutable {
                          if (!reply) return attempted(id, std::unexpected(reply.error()), std::move(done));
                          if (reply->status >= 200 && reply->status < 300)
                            return attempted(id, std::to_string(reply->status), std::move(done));
                          attempted(id, fail(Code::unavailable, fmt::format("the webhook answered {}", reply->status)),
                                    std::move(done));
                        });
  }
  if (found->way->kind == "sms") {
    if (options_.sms == nullptr)
      return attempted(m.id, fail(Code::unavailable, "no SMS gateway is set up: notify.sms_url in the settings"),
                       std::move(done));
    return options_.sms->send(found->way->address, m.short_text.empty() ? m.subject : m.short_text, m.public_id, queue_,
                              [this, id = m.id, done = std::move(done)](Result<std::string> answer) mutable {
                                attempted(id, std::move(answer), std::move(done));
                              });
  }
  if (mail_ == nullptr)
    return attempted(m.id, fail(Code::unavailable, "no mail server is set up: notify.smtp_host in the settings"),
                     std::move(done), m.address);
  mail_->send(
      {.to = found->way->address, .subject = m.subject, .text = m.body, .id = m.public_id, .headers = m.headers},
      queue_, [this, id = m.id, letter = m.address, done = std::move(done)](Result<std::string> answer) mutable {
        attempted(id, std::move(answer), std::move(done), std::move(letter));
      });
}

void Notify::attempted(std::int64_t message, Result<std::string> answer, store::Done done, std::string letter) {
  // Servers repeat whom they do not know: "550 <anna@example.org>: user unknown".
  if (!letter.empty()) {
    if (answer) answer = without(*answer, letter);
    else answer.error().what = without(answer.error().what, letter);
  }
  if (!answer) log::warn("message_not_delivered", {{"message", message}, {"reason", answer.error().what}});
  const std::string text = answer ? *answer : answer.error().what;
  state_.write(
      [message, text, good = answer.has_value(), is_letter = !letter.empty()](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(tx.exec("INSERT INTO notify_attempt (message, at_us, good, answer) VALUES (:id, :now, :good, :text)",
                           {{"id", message}, {"now", tx.now()}, {"good", good}, {"text", text}}));
        if (!good) {
          BAVN_CHECK(tx.exec("UPDATE notify_message SET tries = tries + 1, answer = :text WHERE id = :id",
                             {{"text", text}, {"id", message}}));
          return {};
        }
        // A delivered test keeps no code in the clear.
        BAVN_CHECK(tx.exec(
            "UPDATE notify_message SET tries = tries + 1, state = 'delivered', done_at_us = :now, answer = :text, "
            "body = CASE WHEN kind = 'test' OR way = 0 THEN '' ELSE body END, subject = CASE way WHEN 0 THEN '' ELSE "
            "subject END, short = '', address = '', headers = '' WHERE id = :id",
            {{"now", tx.now()}, {"text", text}, {"id", message}}));
        if (is_letter) return {};  // of thousands at a time; what a subscriber was told is written down by who told it
        BAVN_CHECK(tx.audit({"bavn", "message.delivered", fmt::format("message:{}", message), "{}"}));
        BAVN_TRY(const auto row, tx.one<MessageRow>(std::string(kMessages) + "WHERE id = :id", {{"id", message}}));
        if (!row) return {};
        return tx.emit("message.delivered", fmt::format("message:{}", message), detail_of(*row), row->municipality);
      },
      [answer = std::move(answer), done = std::move(done)](Result<void> written) mutable {
        if (!written) return done(written);
        if (!answer) return done(std::unexpected(answer.error()));
        done({});
      });
}

Result<void> Notify::confirm(std::string_view code) {
  const bool closed = guesses_.with([&](std::deque<Instant>& times) {
    while (!times.empty() && times.front() <= runtime_.now() - kGuessWindow) times.pop_front();
    return times.size() >= options_.guesses;
  });
  if (closed) return fail(Code::forbidden, "too many wrong codes: try again in 15 minutes");
  const auto bytes = from_base32(trim(code));
  auto done = state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row,
             tx.one<ConfirmRow>(
                 "SELECT message, way, about, expires_at_us, confirmed_at_us FROM notify_code WHERE digest = :d",
                 {{"d", store::Blob{digest_of(bytes ? *bytes : "")}}}));
    if (!row || row->confirmed_at_us || row->expires_at_us <= tx.now())
      return fail(Code::forbidden, "this code is wrong, used or expired; a new test sends a new one");
    BAVN_CHECK(tx.exec("UPDATE notify_code SET confirmed_at_us = :now WHERE message = :id",
                       {{"now", tx.now()}, {"id", row->message}}));
    BAVN_CHECK(tenants::People::confirm_way(tx, row->way));
    std::string detail;
    JsonWriter(detail).object().member("about", row->about).end();
    return tx.emit("way.confirmed", fmt::format("way:{}", row->way), detail);
  });
  if (!done && done.error().code == Code::forbidden)
    guesses_.with([&](std::deque<Instant>& times) { times.push_back(runtime_.now()); });
  return done;
}

Result<std::vector<Proof>> Notify::proofs_about(std::string_view about) const {
  return state_.read([&](store::Reader& db) -> Result<std::vector<Proof>> {
    BAVN_TRY(const auto rows,
             db.all<MessageRow>(std::string(kMessages) + "WHERE about = :about ORDER BY id", {{"about", about}}));
    std::vector<Proof> proofs;
    for (const auto& m : rows) {
      Proof proof{m.id, m.kind, m.about, m.state, m.made_at_us, m.done_at_us, {}};
      BAVN_TRY(const auto attempts,
               db.all<AttemptRow>("SELECT at_us, good, answer FROM notify_attempt WHERE message = :id ORDER BY rowid",
                                  {{"id", m.id}}));
      for (const auto& a : attempts) proof.attempts.push_back({a.at_us, a.good, a.answer});
      proofs.push_back(std::move(proof));
    }
    return proofs;
  });
}

store::RetentionRule letter_retention() {
  store::RetentionRule rule;
  rule.name = "notify_letter";
  rule.days = 30;
  rule.reason = "whether a subscriber's mail was taken is asked for some weeks; addresses go at once";
  rule.forget = [](store::Tx& tx, Instant before) -> Result<std::int64_t> {
    constexpr std::string_view which =
        "SELECT id FROM notify_message WHERE way = 0 AND state <> 'waiting' AND done_at_us < :before ORDER BY id LIMIT "
        "5000";
    BAVN_CHECK(tx.exec(fmt::format("DELETE FROM notify_attempt WHERE message IN ({})", which), {{"before", before}}));
    return tx.exec(fmt::format("DELETE FROM notify_message WHERE id IN ({})", which), {{"before", before}});
  };
  return rule;
}

namespace {

std::string html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

net::Reply page(Language language, std::string_view title, std::string_view body, int status = 200) {
  auto reply = net::text(
      fmt::format("<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                  "content=\"width=device-width, "
                  "initial-scale=1\"><title>{}</title></head><body><main><h1>{}</h1>{}</main></body></html>\n",
                  to_string(language), html(title), html(title), body),
      "text/html; charset=utf-8", status);
  reply.headers.set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'");
  reply.headers.set("Referrer-Policy", "no-referrer");
  reply.headers.set("Cache-Control", "no-store");
  return reply;
}

/// The first language of Accept-Language that we speak.
Language asked_language(const net::Request& request) {
  if (const auto* header = request.headers.find("Accept-Language"))
    for (const auto piece : split(*header, ','))
      if (const auto language = language_of(trim(piece.substr(0, piece.find(';'))))) return *language;
  return Language::en;
}

}  // namespace

void add_confirm_routes(net::Router& router, Notify& notify, const Catalogue& texts) {
  router.get("/confirm/{code}", net::Needs::anyone, [&texts](const net::Request& request) {
    const auto language = asked_language(request);
    return page(language, texts.say(language, "notify.confirm.title"),
                fmt::format("<p>{}</p><form method=\"post\"><button>{}</button></form>",
                            html(texts.say(language, "notify.confirm.question")),
                            html(texts.say(language, "notify.confirm.button"))));
  });
  router.post("/confirm/{code}", net::Needs::anyone, [&texts, &notify](const net::Request& request) {
    const auto language = asked_language(request);
    const auto done = notify.confirm(request.param("code"));
    return page(
        language, texts.say(language, "notify.confirm.title"),
        fmt::format("<p>{}</p>", html(texts.say(language, done ? "notify.confirm.done" : "notify.confirm.wrong"))),
        done ? 200 : 403);
  });
}

}  // namespace bavn::notify
