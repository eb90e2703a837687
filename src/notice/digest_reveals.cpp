#include "notice/digest_reveals.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "net/json_views.hpp"

namespace bavn::notice {

namespace {

constexpr std::string_view kTimer = "digests.ask";
constexpr std::size_t kMaxPayload = 4096;

struct ThingRow {
  std::int64_t id = 0, mails = 0;
  std::string kind, scheme, host, path, file_name, sha256, sender_domains;
};
BOOST_DESCRIBE_STRUCT(ThingRow, (), (id, mails, kind, scheme, host, path, file_name, sha256, sender_domains))
constexpr std::string_view kThing =
    "SELECT t.id, t.mails, t.kind, t.scheme, t.host, t.path, t.file_name, t.sha256, t.sender_domains FROM node_digest "
    "d JOIN "
    "node_digest_thing t ON t.id = d.thing WHERE d.municipality = :m AND d.digest = :digest";

struct RequestRow {
  std::string request, digest, state;
  std::int64_t municipality = 0, until_us = 0;
};
BOOST_DESCRIBE_STRUCT(RequestRow, (), (request, digest, state, municipality, until_us))

/// Timers and outbox know one text: request and municipality.
std::string subject_of(std::string_view request, MunicipalityId of) {
  return fmt::format("{}/{}", of.value, request);
}

event::Revealed answer_of(std::string_view request, std::string_view digest, std::string_view state) {
  event::Revealed r;
  r.request = request;
  r.digest = digest;
  r.state = state;
  return r;
}

event::Revealed shown(std::string_view request, std::string_view digest, ThingRow t) {
  auto r = answer_of(request, digest, "revealed");
  r.kind = std::move(t.kind);
  r.scheme = std::move(t.scheme);
  r.host = std::move(t.host);
  r.path = std::move(t.path);
  r.file_name = std::move(t.file_name);
  r.sha256 = std::move(t.sha256);
  for (const auto d : split(t.sender_domains, ' '))
    if (!d.empty()) r.sender_domains.emplace_back(d);
  return r;
}

std::string what_of(const ThingRow& t) {
  return t.kind == "attachment" ? t.file_name : t.host + t.path;
}

bool is_id(std::string_view s, std::size_t most) {
  return !s.empty() && s.size() <= most && std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || ascii_digit(c) || c == '-' || c == '_' || c == '.' ||
           c == ':';
  });
}

}  // namespace

RevealOptions RevealOptions::from(const Settings& s) {
  return {.ask = s.text("digests.reveal") == "ask", .wait = std::chrono::minutes(s.integer("digests.ask_minutes"))};
}

DigestReveals::DigestReveals(Runtime& runtime, Tell tell, RevealOptions options)
    : runtime_(runtime), tell_(std::move(tell)), options_(options) {}

Result<std::unique_ptr<DigestReveals>> DigestReveals::open(Runtime& runtime, store::State& state, Tell tell,
                                                           RevealOptions options) {
  std::unique_ptr<DigestReveals> desk(new DigestReveals(runtime, std::move(tell), options));
  state.on_timer_tx(std::string(kTimer), [d = desk.get()](store::Tx& tx, const store::Timer& timer) -> Result<void> {
    const auto slash = timer.subject.find('/');
    if (slash == std::string::npos) return {};
    BAVN_TRY(
        const auto row,
        tx.one<RequestRow>("SELECT request, digest, state, municipality, until_us FROM node_reveal WHERE request = "
                           ":request AND municipality = CAST(:m AS INTEGER)",
                           {{"request", timer.subject.substr(slash + 1)}, {"m", timer.subject.substr(0, slash)}}));
    if (!row || row->state != "asked") return {};
    const MunicipalityId of{static_cast<std::uint16_t>(row->municipality)};
    BAVN_CHECK(tx.exec(
        "UPDATE node_reveal SET state = 'late', answered_us = :now WHERE request = :request AND municipality = :m",
        {{"now", tx.now()}, {"request", row->request}, {"m", of}}));
    BAVN_CHECK(tx.emit("digest.declined", timer.subject, R"({"state":"late"})", of));
    return d->tell_(tx, "revealed", net::to_json(answer_of(row->request, row->digest, "declined")), of,
                    event::Tlp::amber);
  });
  return desk;
}

Result<void> DigestReveals::keep(store::Tx& tx, const DigestsOut& out) {
  for (const auto& t : out.things) {
    std::string domains;
    for (const auto& d : t.shown.sender_domains) domains += (domains.empty() ? "" : " ") + d;
    const auto thing = static_cast<std::int64_t>(t.thing);
    BAVN_CHECK(tx.exec(
        "INSERT INTO node_digest_thing (municipality, thing, kind, scheme, host, path, file_name, sha256, "
        "sender_domains, "
        "first_us, last_us, mails) VALUES (:m, :thing, :kind, :scheme, :host, :path, :file, :sha256, :domains, :first, "
        ":last, :mails) ON CONFLICT (municipality, thing) DO UPDATE SET sender_domains = :domains, last_us = "
        "max(last_us, "
        ":last), mails = max(mails, :mails)",
        {{"m", t.municipality},
         {"thing", thing},
         {"kind", t.shown.kind},
         {"scheme", t.shown.scheme},
         {"host", t.shown.host},
         {"path", t.shown.path},
         {"file", t.shown.file_name},
         {"sha256", t.shown.sha256},
         {"domains", domains},
         {"first", t.first_us},
         {"last", t.last_us},
         {"mails", t.mails}}));
    for (const auto& [epoch, digest] : t.digests)
      BAVN_CHECK(tx.exec(
          "INSERT INTO node_digest (municipality, digest, epoch, thing) SELECT :m, :digest, :epoch, id FROM "
          "node_digest_thing WHERE municipality = :m AND thing = :thing ON CONFLICT (municipality, digest) DO NOTHING",
          {{"m", t.municipality}, {"digest", digest}, {"epoch", epoch}, {"thing", thing}}));
  }
  for (const auto& t : out.tell)
    BAVN_CHECK(tell_(tx, "digest", net::to_json(t.batch), t.municipality, event::Tlp::amber));
  for (const auto& h : out.harmless)
    BAVN_CHECK(tell_(tx, "harmless", net::to_json(h.list), h.municipality, event::Tlp::green));
  return {};
}

Result<void> DigestReveals::take(store::Tx& tx, MunicipalityId of, std::string_view payload) {
  if (payload.size() > kMaxPayload) return fail(Code::bad_input, "too large for a question about a digest");
  BAVN_TRY(const auto ask, net::from_json<event::RevealRequest>(payload, net::Unknown::ignore));
  if (!is_id(ask.request, 80) || !is_id(ask.digest, 32) || ask.digest.size() != 32 || !is_id(ask.reason, 40))
    return fail(Code::bad_input, "a question about a digest has a request, a digest of 32 hex digits and a reason");
  BAVN_TRY(const auto before,
           tx.number("SELECT count(*) FROM node_reveal WHERE request = :request AND municipality = :m",
                     {{"request", ask.request}, {"m", of}}));
  if (before != 0) return {};
  BAVN_TRY(auto thing, tx.one<ThingRow>(kThing, {{"m", of}, {"digest", ask.digest}}));
  const std::string state = !thing || ask.until_us < micros(tx.now()) ? "gone" : options_.ask ? "asked" : "revealed";
  const bool answered = state != "asked";
  BAVN_CHECK(tx.exec(
      "INSERT INTO node_reveal (request, municipality, digest, thing, kind, what, reason, state, asked_us, until_us, "
      "answered_us, who, mails, mails_end) VALUES (:request, :m, :digest, :thing, :kind, :what, :reason, :state, :now, "
      ":until, :answered, :who, :mails, -1)",
      {{"request", ask.request},
       {"m", of},
       {"digest", ask.digest},
       {"thing", thing ? std::optional(thing->id) : std::nullopt},
       {"kind", thing ? thing->kind : std::string()},
       {"what", thing ? what_of(*thing) : std::string()},
       {"reason", ask.reason},
       {"state", state},
       {"now", tx.now()},
       {"until", ask.until_us},
       {"answered", answered ? micros(tx.now()) : 0},
       {"who", answered ? "machine" : ""},
       {"mails", thing ? thing->mails : 0}}));
  const auto subject = subject_of(ask.request, of);
  event::Revealed answer = answer_of(ask.request, ask.digest, state);
  if (state == "asked") {
    BAVN_CHECK(tx.set_timer(tx.now() + options_.wait, kTimer, subject));
    BAVN_CHECK(tx.emit("digest.asked", subject, "{}", of));
  } else if (state == "revealed") {
    answer = shown(ask.request, ask.digest, std::move(*thing));
    BAVN_CHECK(tx.emit("digest.revealed", subject, "{}", of));
  }
  return tell_(tx, "revealed", net::to_json(answer), of, event::Tlp::amber);
}

Result<void> DigestReveals::answer(store::Tx& tx, MunicipalityId of, std::string_view request, bool yes,
                                   std::string_view who) {
  BAVN_TRY(const auto row,
           tx.one<RequestRow>("SELECT request, digest, state, municipality, until_us FROM node_reveal WHERE request = "
                              ":request AND municipality = :m",
                              {{"request", request}, {"m", of}}));
  if (!row) return fail(Code::not_found, "the hub did not ask this here", std::string(request));
  if (row->state != "asked" && (row->state != "late" || !yes))
    return fail(Code::conflict, fmt::format("this question is answered: {}", row->state), row->request);
  if (row->state == "late" && row->until_us < micros(tx.now()))
    return fail(Code::conflict, "the hub does not wait for this any more", row->request);
  BAVN_TRY(auto thing, tx.one<ThingRow>(kThing, {{"m", of}, {"digest", row->digest}}));
  const std::string state = !thing ? "gone" : yes ? "revealed" : "declined";
  BAVN_CHECK(
      tx.exec("UPDATE node_reveal SET state = :state, answered_us = :now, who = :who WHERE request = :request AND "
              "municipality = :m",
              {{"state", state}, {"now", tx.now()}, {"who", who}, {"request", request}, {"m", of}}));
  const auto subject = subject_of(request, of);
  BAVN_CHECK(tx.clear_timer(kTimer, subject));
  std::string detail;
  JsonWriter(detail).object().member("state", state).end();
  BAVN_CHECK(tx.audit({std::string(who), "digest.answer", subject, detail}));
  BAVN_CHECK(tx.emit(state == "revealed" ? "digest.revealed" : "digest.declined", subject, detail, of));
  return tell_(tx, "revealed",
               net::to_json(state == "revealed" ? shown(request, row->digest, std::move(*thing))
                                                : answer_of(request, row->digest, state)),
               of, event::Tlp::amber);
}

Result<std::vector<AskedReveal>> DigestReveals::list(store::Reader& db, MunicipalityId of, std::int64_t limit) {
  return db.all<AskedReveal>(
      "SELECT r.request, r.state, r.kind, r.what, r.reason, r.who, r.asked_us, r.answered_us, r.mails, CASE WHEN "
      "r.thing IS NULL THEN 0 "
      "WHEN t.mails IS NOT NULL THEN max(t.mails - r.mails, 0) WHEN r.mails_end >= 0 THEN max(r.mails_end - r.mails, "
      "0) ELSE 0 END AS "
      "mails_since FROM node_reveal r LEFT JOIN node_digest_thing t ON t.id = r.thing WHERE r.municipality = :m ORDER "
      "BY r.asked_us DESC, "
      "r.request LIMIT :limit",
      {{"m", of}, {"limit", limit}});
}

std::vector<store::RetentionRule> DigestReveals::retention() {
  std::vector<store::RetentionRule> rules;
  rules.push_back(
      {"digests", 30,
       "So that the hub can ask what a digest of the last weeks was; digests of a sender are personal data.",
       [](store::Tx& tx, Instant before) -> Result<std::int64_t> {
         constexpr std::string_view kOld =
             "SELECT id FROM node_digest_thing WHERE last_us < :before ORDER BY last_us LIMIT 5000";
         BAVN_CHECK(
             tx.exec(fmt::format("UPDATE node_reveal SET mails_end = (SELECT mails FROM node_digest_thing t WHERE t.id "
                                 "= node_reveal.thing) WHERE thing IN ({})",
                                 kOld),
                     {{"before", before}}));
         BAVN_CHECK(tx.exec(fmt::format("DELETE FROM node_digest WHERE thing IN ({})", kOld), {{"before", before}}));
         return tx.exec(fmt::format("DELETE FROM node_digest_thing WHERE id IN ({})", kOld), {{"before", before}});
       }});
  rules.push_back(store::retention_rule(
      "reveals", 400, "What the hub asked and was told: the municipality answers for it in the year's report.",
      "DELETE FROM node_reveal WHERE rowid IN (SELECT rowid FROM node_reveal WHERE asked_us < :before LIMIT 10000)"));
  return rules;
}

}  // namespace bavn::notice
