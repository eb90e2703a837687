// Partners' machines: each version of a warning to everybody goes to every subscription that may have it, tried until it is taken or too old.
#include <fmt/format.h>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "net/json_views.hpp"
#include "net/url.hpp"
#include "net/webhook.hpp"
#include "warn/desk_inner.hpp"

namespace bavn::warn {

namespace {

struct SubscriptionRow {
  std::int64_t id;
  std::string name, url, secret, tlp;
  bool stopped;
};
BOOST_DESCRIBE_STRUCT(SubscriptionRow, (), (id, name, url, secret, tlp, stopped))

struct PushRow {
  std::int64_t id;
  std::string public_id;
  std::int64_t subscription;
  std::string warning;
  std::int64_t version;
  std::string body;
  Instant made_at_us;
  std::optional<Instant> done_at_us;
};
BOOST_DESCRIBE_STRUCT(PushRow, (), (id, public_id, subscription, warning, version, body, made_at_us, done_at_us))

constexpr std::size_t kMostSubscriptions = 1000;

/// What partners may know: members agreed to be named to members, not to them, so the entry is made without the sender and without a person's
/// own words.
Result<event::WarningEntry> for_partners(const Catalogue& texts, const Desk::Inner::Row& row, Case about,
                                         std::string_view state, Instant now) {
  about.may_be_named = false;
  about.notices.clear();
  BAVN_TRY(const Checked without, checked(std::move(about)));
  return entry_of(texts, row, without.c, state, now, {});
}

}  // namespace

Result<void> Desk::Inner::push(store::Tx& tx, const Row& row, const Case& about, std::string_view to_state) {
  BAVN_TRY(const auto all, tx.all<SubscriptionRow>(
                               "SELECT id, name, url, secret, tlp, stopped FROM warning_subscription WHERE stopped = 0 "
                               "ORDER BY id"));
  std::string body;
  for (const auto& s : all) {
    if (tlp_of(about.tlp) > tlp_of(s.tlp)) continue;
    if (body.empty()) {
      BAVN_TRY(const auto entry, for_partners(parts.texts, row, about, to_state, tx.now()));
      JsonWriter w(body);
      w.object().member("type", "warning." + std::string(to_state)).member("timestamp", format_time(tx.now()));
      w.key("data").raw(net::to_json(entry)).end();
    }
    BAVN_CHECK(
        tx.exec("INSERT INTO warning_push (public_id, subscription, warning, version, body, made_at_us) VALUES "
                "(:public, :s, :w, "
                ":v, :body, :now)",
                {{"public", new_id(runtime, "msg_")},
                 {"s", s.id},
                 {"w", row.id},
                 {"v", row.version},
                 {"body", body},
                 {"now", tx.now()}}));
    BAVN_CHECK(tx.add_job("warn.push", std::to_string(tx.last_id()), "{}"));
  }
  return {};
}

void Desk::Inner::deliver(const store::Job& job, store::Done done) {
  struct Found {
    std::optional<PushRow> push;
    std::optional<SubscriptionRow> to;
    std::int64_t newer = 0;
  };
  const auto found = state.read([&](store::Reader& db) -> Result<Found> {
    Found f;
    BAVN_TRY(f.push, db.one<PushRow>("SELECT id, public_id, subscription, warning, version, body, made_at_us, "
                                     "done_at_us FROM warning_push WHERE id = :id",
                                     {{"id", job.subject}}));
    if (!f.push) return f;
    BAVN_TRY(f.to, db.one<SubscriptionRow>(
                       "SELECT id, name, url, secret, tlp, stopped FROM warning_subscription WHERE id = :s",
                       {{"s", f.push->subscription}}));
    BAVN_TRY(f.newer,
             db.number("SELECT count(*) FROM warning_push WHERE subscription = :s AND warning = :w AND version "
                       "> :v",
                       {{"s", f.push->subscription}, {"w", f.push->warning}, {"v", f.push->version}}));
    return f;
  });
  if (!found) return done(std::unexpected(found.error()));
  if (!found->push || found->push->done_at_us) return done({});
  const PushRow& p = *found->push;
  const auto finish = [this, id = p.id, subscription = p.subscription](std::string outcome, bool good, bool stop,
                                                                       store::Done then) {
    state.write(
        [=, outcome = std::move(outcome)](store::Tx& tx) -> Result<void> {
          BAVN_CHECK(tx.exec("UPDATE warning_push SET done_at_us = :now, body = '', outcome = :o WHERE id = :id",
                             {{"now", tx.now()}, {"o", outcome}, {"id", id}}));
          if (good) {
            BAVN_CHECK(tx.exec("UPDATE warning_subscription SET last_good_us = :now, trouble = '' WHERE id = :s",
                               {{"now", tx.now()}, {"s", subscription}}));
            return {};
          }
          BAVN_CHECK(
              tx.exec("UPDATE warning_subscription SET trouble = :o, stopped = max(stopped, :stop) WHERE id = :s",
                      {{"o", outcome}, {"stop", stop}, {"s", subscription}}));
          if (stop)
            BAVN_CHECK(tx.audit(
                {"bavn", "subscription.stopped", fmt::format("subscription:{}", subscription), note("why", outcome)}));
          return {};
        },
        std::move(then));
  };
  if (!found->to || found->to->stopped) return finish("the subscription has ended", false, false, std::move(done));
  if (found->newer > 0) return finish("a newer version took its place", true, false, std::move(done));
  if (runtime.now() > p.made_at_us + settings().duration("warn.push_days"))
    return finish("not taken in time", false, false, std::move(done));
  auto headers = net::webhook_headers(found->to->secret, p.public_id, runtime.now(), p.body);
  if (!headers) return finish(headers.error().what, false, true, std::move(done));
  net::ClientRequest request{.method = net::Method::post, .url = found->to->url};
  request.headers = std::move(*headers);
  request.body = p.body;
  request.max_reply = 64U << 10U;
  parts.client->send(
      std::move(request), queue,
      [this, finish, subscription = p.subscription, done = std::move(done)](Result<net::ClientReply> reply) mutable {
        if (reply && reply->status >= 200 && reply->status < 300)
          return finish(std::to_string(reply->status), true, false, std::move(done));
        // Standard Webhooks: 410 says that nobody wants this any more.
        if (reply && reply->status == 410)
          return finish("the receiver said 410: it wants no more", false, true, std::move(done));
        const std::string why =
            reply ? fmt::format("the receiver answered {}", reply->status) : harmless(reply.error().what, 300);
        log::warn("warning_not_pushed", {{"subscription", subscription}, {"reason", why}});
        state.write(
            [subscription, why](store::Tx& tx) -> Result<void> {
              BAVN_CHECK(tx.exec("UPDATE warning_subscription SET trouble = :why WHERE id = :s",
                                 {{"why", why}, {"s", subscription}}));
              return {};
            },
            [why, done = std::move(done)](Result<void> written) mutable {
              if (!written) return done(std::move(written));
              done(fail(Code::unavailable, why));
            });
      });
}

Result<Desk::NewSubscription> Desk::subscribe(store::Tx& tx, std::string_view name, std::string_view url,
                                              std::string_view tlp, std::string_view who) {
  if (inner_->parts.client == nullptr) return fail(Code::unavailable, "this hub has no way out for subscriptions");
  BAVN_TRY(const auto called, line_of(name, "the subscriber's name", 100));
  if (url.size() > 2000) return fail(Code::bad_input, "the address is longer than 2,000 characters", "url");
  BAVN_TRY(const auto parsed, net::parse_url(url));
  if (!parsed.tls && parsed.host != "127.0.0.1" && parsed.host != "localhost")
    return fail(Code::bad_input, "a subscription's address starts with https:// (http:// only on this machine)", "url");
  if (tlp != "clear" && tlp != "green" && tlp != "amber")
    return fail(Code::bad_input, "a subscription gets what is marked up to clear, green or amber", "tlp");
  BAVN_TRY(const auto there, tx.number("SELECT count(*) FROM warning_subscription"));
  if (there >= static_cast<std::int64_t>(kMostSubscriptions))
    return fail(Code::conflict, "there are 1,000 subscriptions already: remove some");
  NewSubscription made;
  made.secret = net::new_webhook_secret(inner_->runtime);
  const auto inserted = tx.exec(
      "INSERT INTO warning_subscription (name, url, secret, tlp, made_by, made_at_us) VALUES (:name, :url, :secret, "
      ":tlp, :who, :now)",
      {{"name", called}, {"url", url}, {"secret", made.secret}, {"tlp", tlp}, {"who", who}, {"now", tx.now()}});
  if (!inserted && inserted.error().code == Code::conflict)
    return fail(Code::conflict, fmt::format("{} has a subscription already", called));
  BAVN_CHECK(inserted);
  made.id = tx.last_id();
  BAVN_CHECK(tx.audit(
      {std::string(who), "subscription.added", fmt::format("subscription:{}", made.id), note("name", called)}));
  return made;
}

Result<void> Desk::unsubscribe(store::Tx& tx, std::int64_t id, std::string_view who) {
  BAVN_TRY(const auto gone, tx.exec("DELETE FROM warning_subscription WHERE id = :id", {{"id", id}}));
  if (gone == 0) return fail(Code::not_found, fmt::format("there is no subscription {}", id));
  return tx.audit({std::string(who), "subscription.removed", fmt::format("subscription:{}", id), "{}"});
}

Result<std::vector<Subscription>> Desk::subscriptions() const {
  return inner_->state.read([](store::Reader& db) {
    return db.all<Subscription>(
        "SELECT s.id, s.name, s.url, s.tlp, s.made_by AS by, s.made_at_us AS made_us, coalesce(s.last_good_us, 0) AS "
        "last_good_us, s.trouble, s.stopped, (SELECT count(*) FROM warning_push p WHERE p.subscription = s.id AND "
        "p.done_at_us IS NULL) AS waiting FROM warning_subscription s ORDER BY s.id");
  });
}

}  // namespace bavn::warn
