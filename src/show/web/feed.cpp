#include "show/web/feed.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace bavn::show::web {

namespace {

using event::Right;
constexpr std::size_t kAtOnce = 500;  // events read for one stream before others have their turn

struct KindRight {
  std::string_view prefix;
  Right right;
};
// Every kind that a screen shows, and what one must be allowed to see it. What is not here is told to nobody: site_test.cpp holds this to
// what the sources announce.
constexpr std::array kKinds{
    KindRight{"alert.", Right::alert_read},         KindRight{"mail.", Right::alert_read},
    KindRight{"rule.", Right::alert_read},          KindRight{"purge.", Right::alert_read},
    KindRight{"order.", Right::alert_read},         KindRight{"source.", Right::alert_read},
    KindRight{"content.", Right::indicator_read},   KindRight{"block.", Right::indicator_read},
    KindRight{"indicator", Right::indicator_read},  KindRight{"hunt.", Right::hunt},
    KindRight{"audit.", Right::audit_read},         KindRight{"left_us.", Right::left_us_read},
    KindRight{"campaign.", Right::tenants_read},    KindRight{"suspicion.", Right::tenants_read},
    KindRight{"warning.", Right::tenants_read},     KindRight{"notice.", Right::tenants_read},
    KindRight{"node.", Right::tenants_read},        KindRight{"certificate.", Right::tenants_read},
    KindRight{"member.", Right::tenants_read},      KindRight{"community.", Right::tenants_read},
    KindRight{"message.", Right::tenants_read},     KindRight{"way.", Right::tenants_read},
    KindRight{"test_beacon.", Right::tenants_read}, KindRight{"trigger.", Right::tenants_read},
    KindRight{"exposure.", Right::tenants_read},    KindRight{"digest.", Right::tenants_read},
    KindRight{"digest_keys.", Right::tenants_read}, KindRight{"harmless.", Right::tenants_read},
    KindRight{"handover.", Right::tenants_read},    KindRight{"settings.", Right::tenants_read},
    KindRight{"setup.", Right::tenants_read},       KindRight{"mandate.", Right::tenants_read},
    KindRight{"contact.", Right::tenants_read},     KindRight{"beacon.", Right::tenants_read},
    KindRight{"guest.", Right::tenants_read},       KindRight{"person.", Right::people_write},
    KindRight{"identity.", Right::people_write},    KindRight{"recovery.", Right::people_write},
    KindRight{"call.", Right::tenants_read},        KindRight{"wave.", Right::tenants_read},
    KindRight{"misp.", Right::indicator_read},      KindRight{"peer.", Right::tenants_read},
    KindRight{"bulletin.", Right::indicator_read},
};

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  return ec == std::errc{} && end == text.data() + text.size() && n >= 0 ? std::optional(n) : std::nullopt;
}

net::SseEvent as_sse(std::string_view kind, std::string_view subject, std::int64_t seq) {
  net::SseEvent out{std::to_string(seq), std::string(kind), {}};
  JsonWriter(out.data).object().member("kind", kind).member("subject", subject).member("seq", seq).end();
  return out;
}

}  // namespace

std::optional<Right> right_for(std::string_view kind) {
  for (const KindRight& each : kKinds)
    if (kind.starts_with(each.prefix)) return each.right;
  return std::nullopt;
}

Feed::Feed(const Parts& parts, const Options& options)
    : runtime_(parts.runtime),
      state_(parts.state),
      serves_(parts.serves),
      most_of_one_(options.streams_per_person),
      most_(options.streams),
      queue_(parts.runtime.queue({.name = "web-events"})),
      opened_(parts.metrics.counter("web_streams_opened")),
      sent_(parts.metrics.counter("web_events_sent")),
      gaps_(parts.metrics.counter("web_event_gaps")),
      ended_(parts.metrics.counter("web_streams_ended")) {
  alive_->with([this](Alive& a) { a.feed = this; });
}

Feed::~Feed() {
  stop();
  alive_->with([](Alive& a) { a.feed = nullptr; });
}

// The lock is held while f runs: this is never gone under it.
void Feed::on_queue(std::move_only_function<void(Feed&)> f) {
  runtime_.after(Duration(0), queue_, [alive = alive_, f = std::move(f)]() mutable {
    alive->with([&](Alive& a) {
      if (a.feed != nullptr && !a.feed->stopped_) f(*a.feed);
    });
  });
}

void Feed::add_routes(net::Router& router) {
  router.stream("/api/events", net::Needs::anyone,
                [this](const net::Request& q, std::shared_ptr<net::EventStream> s) { open(q, std::move(s)); });
}

void Feed::watch() {
  std::vector<std::string> kinds;
  for (const KindRight& each : kKinds) kinds.emplace_back(each.prefix);
  const auto tell = [alive = alive_](const store::DomainEvent& e) -> Result<void> {
    alive->with([&](Alive& a) {
      if (a.feed == nullptr || a.feed->stopped_) return;
      const auto clients = a.feed->clients_;
      for (const auto& c : clients)
        if (c->live && !a.feed->give(*c, e)) a.feed->drop(c);
    });
    return {};
  };
  state_.subscribe("web.events", queue_, tell, std::move(kinds));
  runtime_.after(std::chrono::minutes(1), queue_, [alive = alive_] {
    alive->with([](Alive& a) {
      if (a.feed != nullptr) a.feed->check();
    });
  });
}

bool Feed::may_open(const event::Scope& scope) const {
  return open_.with([&](const auto& all) {
    std::size_t total = 0;
    for (const auto& [who, n] : all) total += n;
    const auto mine = all.find(scope.who());
    return total < most_ && (mine == all.end() || mine->second < most_of_one_);
  });
}

void Feed::use_still_valid(StillValid f) {
  alive_->with([&](Alive&) { still_valid_ = std::move(f); });
}

void Feed::open(const net::Request& request, std::shared_ptr<net::EventStream> stream) {
  auto client = std::make_shared<Client>();
  client->stream = std::move(stream);
  client->request = request;
  client->request.body.clear();
  if (const auto kinds = request.asked("kinds"))
    for (const std::string_view each : split(kinds->substr(0, 400), ','))
      if (!each.empty()) client->kinds.emplace_back(each);
  std::optional<std::int64_t> last;
  if (const std::string* id = request.headers.find("Last-Event-ID")) last = number_in(*id);
  else if (const auto after = request.asked("after")) last = number_in(*after);
  open_.with([&](auto& all) { ++all[client->request.scope.who()]; });
  opened_.add();
  // The other end's leaving is heard on the server's thread.
  client->stream->on_close([alive = alive_, runtime = &runtime_, queue = queue_, weak = std::weak_ptr(client)] {
    runtime->after(Duration(0), queue, [alive, weak] {
      alive->with([&](Alive& a) {
        if (const auto c = weak.lock(); c && a.feed != nullptr) a.feed->drop(c);
      });
    });
  });
  on_queue([client, last](Feed& feed) { feed.begin(client, last); });
}

// Where the stream begins. Numbers of announced events grow; those that are kept begin at some oldest one.
void Feed::begin(const std::shared_ptr<Client>& client, const std::optional<std::int64_t>& last) {
  if (!client->stream) return;
  clients_.push_back(client);
  const auto range = state_.read([](store::Reader& r) -> Result<std::pair<std::int64_t, std::int64_t>> {
    BAVN_TRY(const auto oldest, r.number("SELECT coalesce(min(seq), 0) FROM domain_event"));
    // The highest ever given, also when retention took it.
    BAVN_TRY(const auto newest,
             r.number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'domain_event'"));
    return std::pair(oldest, newest);
  });
  if (!range) {
    log::warn("web_events_unread", {{"reason", to_string(range.error())}});
    return drop(client);
  }
  const auto [oldest, newest] = *range;
  if (!last) {
    client->position = newest;
    if (!client->stream->send(as_sse("ready", "", newest))) return drop(client);
  } else if (*last > newest || (*last < newest && (oldest == 0 || *last < oldest - 1))) {
    gaps_.add();
    client->position = newest;
    if (!client->stream->send(as_sse("gap", "", newest))) return drop(client);
  } else {
    client->position = *last;
  }
  catch_up(client);
}

void Feed::catch_up(const std::shared_ptr<Client>& client) {
  if (!client->stream) return;
  const auto events = state_.read([&](store::Reader& r) {
    return r.all<store::DomainEvent>(
        "SELECT seq, at_us, kind, subject, detail, municipality FROM domain_event "
        "WHERE seq > :seq ORDER BY seq LIMIT :most",
        {{"seq", client->position}, {"most", kAtOnce}});
  });
  if (!events) {
    log::warn("web_events_unread", {{"reason", to_string(events.error())}});
    return drop(client);  // it comes back with the id it saw last
  }
  for (const store::DomainEvent& e : *events)
    if (!give(*client, e)) return drop(client);
  if (events->size() < kAtOnce) {
    client->live = true;  // what is announced from here on comes by the outbox, on this queue
    return;
  }
  on_queue([client](Feed& feed) { feed.catch_up(client); });
}

bool Feed::give(Client& client, const store::DomainEvent& e) const {
  if (e.seq <= client.position) return true;
  client.position = e.seq;
  const auto right = right_for(e.kind);
  const event::Scope& scope = client.request.scope;
  if (!right || !scope.may(*right)) return true;
  // What belongs to no municipality: at the hub the work of those who see all, at a node its own people's.
  const bool seen = e.municipality != 0      ? scope.sees(MunicipalityId{static_cast<std::uint16_t>(e.municipality)})
                    : serves_ == Serves::hub ? scope.sees_all()
                                             : scope.sees_all() || !scope.municipalities().empty();
  if (!seen) return true;
  if (!client.kinds.empty() &&
      std::none_of(client.kinds.begin(), client.kinds.end(), [&](const auto& k) { return e.kind.starts_with(k); }))
    return true;
  sent_.add();
  return client.stream->send(as_sse(e.kind, e.subject, e.seq));
}

void Feed::drop(const std::shared_ptr<Client>& client) {
  const auto at = std::find(clients_.begin(), clients_.end(), client);
  if (at != clients_.end()) clients_.erase(at);
  if (!client->stream) return;
  open_.with([&](auto& all) {
    const auto mine = all.find(client->request.scope.who());
    if (mine != all.end() && --mine->second == 0) all.erase(mine);
  });
  const auto stream = std::exchange(client->stream, nullptr);
  stream->close();
}

// A session that ended, a key that was taken away, a role that ran out: the stream ends with it.
void Feed::check() {
  if (stopped_) return;
  const auto clients = clients_;
  for (const auto& c : clients)
    if (still_valid_ && !still_valid_(c->request)) {
      ended_.add();
      drop(c);
    }
  runtime_.after(std::chrono::minutes(1), queue_, [alive = alive_] {
    alive->with([](Alive& a) {
      if (a.feed != nullptr) a.feed->check();
    });
  });
}

void Feed::end_streams_of(std::string_view who) {
  on_queue([name = std::string(who)](Feed& feed) {
    const auto clients = feed.clients_;
    for (const auto& c : clients)
      if (c->request.scope.who() == name) {
        feed.ended_.add();
        feed.drop(c);
      }
  });
}

void Feed::stop() {
  alive_->with([this](Alive&) {
    stopped_ = true;
    const auto clients = clients_;
    for (const auto& c : clients) drop(c);
  });
}

}  // namespace bavn::show::web
