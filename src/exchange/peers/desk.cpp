#include "exchange/peers/desk.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <boost/describe.hpp>
#include <charconv>
#include <cstring>
#include <map>
#include <shared_mutex>
#include <utility>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/ip.hpp"
#include "exchange/peers/names.hpp"
#include "match/indicators/load.hpp"
#include "net/egress.hpp"
#include "net/json_value.hpp"

namespace bavn::exchange {

BOOST_DESCRIBE_STRUCT(DroppedRow, (), (id, at_us, what, object, reason))
BOOST_DESCRIBE_STRUCT(DropCount, (), (reason, count, first_us, newest_us))

namespace {

namespace mi = match::indicators;
using namespace std::chrono_literals;

constexpr std::string_view kPull = "exchange.pull";
constexpr std::size_t kMostPeers = 500;
constexpr std::size_t kMostReasons = 200;  // of one peer; what comes beyond is counted together
constexpr std::size_t kMostCursor = 64U << 10U;
constexpr std::string_view kKinds[] = {"misp", "misp_feed", "taxii", "sentinel", "defender", "client"};
constexpr std::string_view kSignIns[] = {"none", "key", "basic", "bearer", "oauth"};

#define BAVN_PEER_COLUMNS                                                                                            \
  "id, name, kind, direction, url, sign_in, user, secret, options, ceiling, kinds, sectors, confidence, strongest, " \
  "tlp, valid_days, every_s, state, cursor, tried_us, ok_us, newest_us, error, failures, taken, demoted, dropped, "  \
  "sent, made_by, made_us"

struct PeerRow {
  std::int64_t id = 0;
  std::string name, kind, direction, url, sign_in, user, secret, options, ceiling, kinds, sectors;
  std::int64_t confidence = 0;
  std::string strongest, tlp;
  std::int64_t valid_days = 0, every_s = 0;
  std::string state, cursor;
  std::int64_t tried_us = 0, ok_us = 0, newest_us = 0;
  std::string error;
  std::int64_t failures = 0, taken = 0, demoted = 0, dropped = 0, sent = 0;
  std::string made_by;
  std::int64_t made_us = 0;
};
BOOST_DESCRIBE_STRUCT(PeerRow, (),
                      (id, name, kind, direction, url, sign_in, user, secret, options, ceiling, kinds, sectors,
                       confidence, strongest, tlp, valid_days, every_s, state, cursor, tried_us, ok_us, newest_us,
                       error, failures, taken, demoted, dropped, sent, made_by, made_us))

struct CountRow {
  std::int64_t peer = 0, count = 0;
};
BOOST_DESCRIBE_STRUCT(CountRow, (), (peer, count))
struct DueRow {
  std::string subject;
  std::int64_t due_us = 0;
};
BOOST_DESCRIBE_STRUCT(DueRow, (), (subject, due_us))
struct GoneRow {
  std::int64_t id = 0;
  std::string kind, value, source, tlp;
};
BOOST_DESCRIBE_STRUCT(GoneRow, (), (id, kind, value, source, tlp))
struct SectorRow {
  std::string source, sector;
};
BOOST_DESCRIBE_STRUCT(SectorRow, (), (source, sector))

Result<void> need(const event::Scope& scope, event::Right right, std::string_view doing) {
  if (!scope.may(right)) return fail(Code::forbidden, fmt::format("{} may not {}", scope.who(), doing));
  return {};
}
/// Partners are the joint CERT's, not one municipality's.
Result<void> need_all(const event::Scope& scope, event::Right right, std::string_view doing) {
  BAVN_CHECK(need(scope, right, doing));
  if (!scope.sees_all()) return fail(Code::forbidden, "exchange with partners is the business of the joint CERT");
  return {};
}

Peer peer_of(const PeerRow& r) {
  Peer p;
  p.id = r.id;
  p.name = r.name;
  p.kind = r.kind;
  p.direction = r.direction;
  p.url = r.url;
  p.sign_in = r.sign_in;
  p.user = r.user;
  p.options = r.options;
  p.ceiling = event::parse_tlp(r.ceiling).value_or(event::Tlp::clear);
  p.kinds = names_in(r.kinds);
  p.sectors = names_in(r.sectors);
  p.confidence = static_cast<std::uint8_t>(std::clamp<std::int64_t>(r.confidence, 0, 100));
  p.strongest = mi::parse_action(r.strongest).value_or(mi::Action::watch);
  p.tlp = event::parse_tlp(r.tlp).value_or(event::Tlp::red);
  p.valid_days = r.valid_days;
  p.every_s = r.every_s;
  p.state = r.state;
  p.cursor = r.cursor;
  p.tried = from_micros(r.tried_us);
  p.ok = from_micros(r.ok_us);
  p.newest = from_micros(r.newest_us);
  p.error = r.error;
  p.failures = r.failures;
  p.taken = r.taken;
  p.demoted = r.demoted;
  p.dropped = r.dropped;
  p.sent = r.sent;
  p.made_by = r.made_by;
  p.made = from_micros(r.made_us);
  return p;
}

/// What a person wrote about a partner that has a row; a secret that is not given stays.
Result<void> write_down(store::Tx& tx, std::int64_t id, const NewPeer& p) {
  BAVN_CHECK(tx.exec(
      "UPDATE exchange_peer SET name = :name, kind = :kind, direction = :direction, url = :url, sign_in = :sign_in, "
      "user = :user, secret = ifnull(:secret, secret), options = :options, ceiling = :ceiling, kinds = :kinds, "
      "sectors = :sectors, confidence = :confidence, strongest = :strongest, tlp = :tlp, valid_days = :valid, "
      "every_s = :every WHERE id = :i",
      {{"name", p.name},
       {"kind", p.kind},
       {"direction", p.direction},
       {"url", p.url},
       {"sign_in", p.sign_in},
       {"user", p.user},
       {"secret", p.secret},
       {"options", p.options},
       {"ceiling", event::to_string(p.ceiling)},
       {"kinds", names_json(p.kinds)},
       {"sectors", names_json(p.sectors)},
       {"confidence", p.confidence},
       {"strongest", mi::to_string(p.strongest)},
       {"tlp", event::to_string(p.tlp)},
       {"valid", p.valid_days},
       {"every", p.every_minutes * 60},
       {"i", id}}));
  return {};
}

/// What the audit log keeps of it: never the secret.
std::string detail_of(const NewPeer& p) {
  std::string detail;
  JsonWriter(detail)
      .object()
      .member("name", p.name)
      .member("kind", p.kind)
      .member("direction", p.direction)
      .member("url", p.url)
      .member("ceiling", event::to_string(p.ceiling))
      .member("new_secret", p.secret.has_value())
      .end();
  return detail;
}

/// Of what a person wrote: not of counts and times.
std::string version_of(const PeerRow& r) {
  std::string all;
  for (const std::string* s : {&r.name, &r.kind, &r.direction, &r.url, &r.sign_in, &r.user, &r.secret, &r.options,
                               &r.ceiling, &r.kinds, &r.sectors, &r.strongest, &r.tlp})
    all += fmt::format("{}:{}", s->size(), *s);
  all += fmt::format("{}/{}/{}/{}", r.confidence, r.valid_days, r.every_s, r.state == "paused");
  return to_hex(blake2b256(all)).substr(0, 20);
}

std::string header_of(const PeerRow& r) {
  if (r.sign_in == "key") return r.secret;
  if (r.sign_in == "bearer") return "Bearer " + r.secret;
  if (r.sign_in == "basic") return "Basic " + to_base64(r.user + ":" + r.secret);
  return {};
}

bool plain_words(std::string_view s) {
  return is_valid_utf8(s) &&
         std::ranges::none_of(s, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

bool is_sector(std::string_view s) {
  return !s.empty() && s.size() <= 40 && std::ranges::all_of(s, [](char c) {
    return (c >= 'a' && c <= 'z') || ascii_digit(c) || c == '_' || c == '-';
  });
}

Result<void> check_sectors(const std::vector<std::string>& sectors) {
  if (sectors.size() > 30) return fail(Code::bad_input, "at most 30 sectors", "/sectors");
  for (const auto& s : sectors)
    if (!is_sector(s))
      return fail(Code::bad_input, "a sector is a word of small letters, digits, '-' and '_', at most 40", "/sectors");
  return {};
}

/// The address in a URL, when it is one and no name.
std::optional<net::Reach> reach_of_literal(std::string_view host) {
  const auto ip = event::parse_ip_like_browser(host);
  const auto any = ip ? ip : event::parse_ip(host);
  if (!any) return std::nullopt;
  if (any->v6) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    std::memcpy(&a.sin6_addr, any->bytes.data(), 16);
    return net::reach_of(reinterpret_cast<const sockaddr&>(a));
  }
  sockaddr_in a{};
  a.sin_family = AF_INET;
  std::memcpy(&a.sin_addr, any->bytes.data(), 4);
  return net::reach_of(reinterpret_cast<const sockaddr&>(a));
}

/// Calls once; when nobody calls it, the pull ended without a word.
class Answer {
 public:
  explicit Answer(PullDone then) : then_(std::move(then)) {}
  Answer(Answer&&) = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() {
    if (then_) (*this)(fail(Code::unavailable, "the exchange ended without a result"));
  }
  void operator()(Result<Pulled> result) {
    if (auto then = std::exchange(then_, {})) then(std::move(result));
  }

 private:
  PullDone then_;
};

}  // namespace

/// Open while the desk is there. Who passes holds it open until through.
struct PeerDesk::Gate {
  std::shared_mutex mutex;
  bool open = true;

  template <class F>
  auto pass(F&& f) -> decltype(f()) {
    const std::shared_lock lock(mutex);
    if (!open) return fail(Code::unavailable, "the hub is stopping");
    return f();
  }
  void close() {
    const std::unique_lock lock(mutex);
    open = false;
  }
};

namespace {

/// The way out of a pull: after the desk is gone nothing leaves.
template <class Gate>
class GatedClient final : public net::Client {
 public:
  GatedClient(Runtime& runtime, net::Client& client, std::shared_ptr<Gate> gate)
      : runtime_(runtime), client_(client), gate_(std::move(gate)) {}
  void send(net::ClientRequest request, QueueId queue,
            std::move_only_function<void(Result<net::ClientReply>)> then) override {
    const auto sent = gate_->pass([&]() -> Result<void> {
      client_.send(std::move(request), queue, std::move(then));
      return {};
    });
    if (!sent)
      runtime_.after(Duration{0}, queue,
                     [then = std::move(then), e = sent.error()]() mutable { then(std::unexpected(e)); });
  }
  std::shared_ptr<net::OpenStream> stream(net::ClientRequest request, QueueId queue,
                                          net::StreamEvents events) override {
    std::shared_ptr<net::OpenStream> stream;
    (void)gate_->pass([&]() -> Result<void> {
      stream = client_.stream(std::move(request), queue, std::move(events));
      return {};
    });
    return stream;
  }

 private:
  Runtime& runtime_;
  net::Client& client_;
  std::shared_ptr<Gate> gate_;
};

template <class Client>
struct Kept {
  Library library;
  Client client;
};

}  // namespace

PeerDesk::PeerDesk(DeskParts parts) : parts_(std::move(parts)), gate_(std::make_shared<Gate>()) {}
PeerDesk::~PeerDesk() {
  gate_->close();
}

Result<std::unique_ptr<PeerDesk>> PeerDesk::open(DeskParts parts) {
  std::unique_ptr<PeerDesk> desk(new PeerDesk(std::move(parts)));
  PeerDesk* d = desk.get();
  BAVN_TRY(d->limits_, Limits::from(d->parts_.settings));
  BAVN_TRY(d->keys_, PartnerKeys::open(d->parts_.state));
  d->library_.publish = [d, gate = d->gate_](std::int64_t peer, std::vector<Delivered> all, std::string_view name) {
    return gate->pass([&] { return d->publish(peer, std::move(all), name); });
  };
  d->library_.withdraw = [d, gate = d->gate_](std::int64_t peer, std::vector<mi::Removal> all) {
    return gate->pass([&] { return d->withdraw(peer, std::move(all)); });
  };
  d->library_.dropped = [d, gate = d->gate_](std::int64_t peer, std::span<const Dropped> all) {
    return gate->pass([&]() -> Result<void> {
      Taken taken;
      for (const Dropped& each : all) note_dropped(taken, each.what, each.object, each.reason);
      return d->parts_.state.write_now([&](store::Tx& tx) { return d->write_taken(tx, peer, taken); });
    });
  };
  d->library_.read = [d, gate = d->gate_](const LibraryAsk& asked) {
    return gate->pass([&]() -> Result<std::vector<Known>> {
      LibraryAsk ask = asked;
      ask.now = d->parts_.runtime.now();
      return d->parts_.state.read([&](store::Reader& db) { return d->parts_.read(db, ask); });
    });
  };
  d->library_.gone = [d, gate = d->gate_](std::int64_t after, std::size_t limit) {
    return gate->pass([&]() -> Result<std::vector<Gone>> {
      BAVN_TRY(auto rows, d->parts_.state.read([&](store::Reader& db) {
        return db.all<GoneRow>(
            "SELECT id, kind, value, source, tlp FROM exchange_gone WHERE id > :a ORDER BY id LIMIT :n",
            {{"a", after}, {"n", std::min<std::size_t>(limit, 10'000)}});
      }));
      std::vector<Gone> out;
      for (auto& r : rows)
        out.push_back({r.id, std::move(r.kind), std::move(r.value), std::move(r.source),
                       event::parse_tlp(r.tlp).value_or(event::Tlp::red)});
      return out;
    });
  };
  d->library_.defaults_of = [d, gate = d->gate_](std::int64_t id) {
    return gate->pass([&]() -> Result<mi::Indicator> {
      BAVN_TRY(const Peer p, d->peer(id));
      mi::Indicator i;
      i.source = p.name;
      i.confidence = p.confidence;
      i.tlp = p.tlp;
      i.action = p.strongest;
      i.valid_until = d->parts_.runtime.now() + 24h * p.valid_days;
      return i;
    });
  };
  d->queue_ = d->parts_.runtime.queue({.name = "peers"});
  d->parts_.state.on_timer_tx(std::string(kPull),
                              [](store::Tx& tx, const store::Timer& t) { return tx.add_job(kPull, t.subject, "{}"); });
  d->parts_.state.on_job_async(
      std::string(kPull), d->queue_, [d](const store::Job& job, store::Done done) { d->pull(job, std::move(done)); },
      1000, d->limits_.at_once);
  return desk;
}

Result<void> PeerDesk::start() {
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto rows,
             tx.all<PeerRow>("SELECT " BAVN_PEER_COLUMNS
                             " FROM exchange_peer WHERE state <> 'paused' AND NOT EXISTS (SELECT 1 FROM timer "
                             "WHERE kind = 'exchange.pull' AND subject = CAST(exchange_peer.id AS TEXT))"));
    // Not all of them in the same second.
    std::int64_t n = 0;
    for (const auto& r : rows) BAVN_CHECK(plan(tx, peer_of(r), tx.now() + std::chrono::seconds(5 * ++n)));
    return {};
  });
}

bool PeerDesk::is_asked(const Peer& p) const {
  return parts_.client != nullptr && !p.url.empty() && p.kind != "client" && parts_.pullers.contains(p.kind);
}

Result<void> PeerDesk::plan(store::Tx& tx, const Peer& p, Instant at) const {
  if (!is_asked(p)) return {};
  return tx.set_timer(at, kPull, std::to_string(p.id));
}

// ---- what people write

Result<void> PeerDesk::check(const NewPeer& p) const {
  if (p.name.empty() || p.name.size() > 100 || !plain_words(p.name) || trim(p.name) != p.name ||
      p.name.find(':') != std::string::npos)
    return fail(Code::bad_input, "a partner has a name of 1 to 100 bytes without ':'", "/name");
  if (std::ranges::find(kKinds, p.kind) == std::end(kKinds))
    return fail(Code::bad_input, "a partner is misp, misp_feed, taxii, sentinel, defender or client", "/kind");
  if (p.direction != "in" && p.direction != "out" && p.direction != "both")
    return fail(Code::bad_input, "direction is in, out or both", "/direction");
  if (std::ranges::find(kSignIns, p.sign_in) == std::end(kSignIns))
    return fail(Code::bad_input, "sign_in is none, key, basic, bearer or oauth", "/sign_in");
  if (p.user.size() > 300 || !plain_words(p.user) || (p.sign_in == "basic" && p.user.find(':') != std::string::npos))
    return fail(Code::bad_input, "user has at most 300 bytes (of basic: without ':')", "/user");
  if (p.secret && (p.secret->size() > 4000 || !plain_words(*p.secret)))
    return fail(Code::bad_input, "a secret has at most 4,000 bytes on one line", "/secret");
  if (p.options.size() > 8000) return fail(Code::bad_input, "options are too long", "/options");
  if (p.kinds.size() > 30) return fail(Code::bad_input, "at most 30 kinds", "/kinds");
  for (const auto& k : p.kinds)
    if (!event::parse_kind(k)) return fail(Code::bad_input, "there is no such kind of observable", "/kinds");
  BAVN_CHECK(check_sectors(p.sectors));
  if (p.confidence < 0 || p.confidence > 100)
    return fail(Code::bad_input, "confidence is 0 to 100", "/takes/confidence");
  if (p.valid_days < 1 || p.valid_days > 730)
    return fail(Code::bad_input, "valid_days is 1 to 730", "/takes/valid_days");
  if (p.every_minutes < 1 || p.every_minutes > 10'080)
    return fail(Code::bad_input, "every_minutes is 1 to 10,080 (a week)", "/every_minutes");
  if (p.kind == "client") {
    if (!p.url.empty()) return fail(Code::bad_input, "a client comes to us: it has no url", "/url");
    return {};
  }
  if ((p.kind == "sentinel" || p.kind == "defender") && p.direction != "out")
    return fail(Code::bad_input, "a console only gets: direction is out", "/direction");
  if (p.kind == "misp_feed" && p.direction != "in")
    return fail(Code::bad_input, "a feed only gives: direction is in", "/direction");
  const bool comes_too = p.kind == "misp" || p.kind == "taxii";
  if (p.url.empty()) return comes_too ? Result<void>() : fail(Code::bad_input, "where is it? It needs a url", "/url");
  if (!parts_.pullers.contains(p.kind))
    return fail(Code::bad_input, fmt::format("this hub has no way to ask a partner of the kind {}", p.kind), "/kind");
  if (p.url.size() > 1000) return fail(Code::bad_input, "a url has at most 1,000 bytes", "/url");
  const auto url = net::parse_url(p.url);
  if (!url) return fail(Code::bad_input, url.error().what, "/url");
  const auto policy = exchange_egress(limits_);
  if (const auto may = net::permitted(policy, *url); !may) return fail(Code::forbidden, may.error().what, "/url");
  const auto reach = reach_of_literal(url->host);
  if (reach == net::Reach::metadata || (reach == net::Reach::inside && !net::may_be_inside(policy, *url)))
    return fail(
        Code::forbidden,
        fmt::format("{} is an address inside the network; the setting exchange.inside names those that are meant",
                    url->host),
        "/url");
  return {};
}

Result<Peer> PeerDesk::peer(std::int64_t id) const {
  BAVN_TRY(const auto row, parts_.state.read([&](store::Reader& db) {
    return db.one<PeerRow>("SELECT " BAVN_PEER_COLUMNS " FROM exchange_peer WHERE id = :i", {{"i", id}});
  }));
  if (!row) return fail(Code::not_found, "there is no such partner", std::to_string(id));
  return peer_of(*row);
}

Result<std::vector<ShownPeer>> PeerDesk::list(const event::Scope& scope) const {
  BAVN_CHECK(need_all(scope, event::Right::tenants_read, "see partners"));
  std::vector<ShownPeer> out;
  BAVN_CHECK(parts_.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto rows,
             db.all<PeerRow>("SELECT " BAVN_PEER_COLUMNS " FROM exchange_peer ORDER BY name LIMIT 1000"));
    BAVN_TRY(const auto keys,
             db.all<CountRow>("SELECT peer, count(*) AS count FROM exchange_key WHERE revoked_us = 0 GROUP BY peer"));
    BAVN_TRY(const auto due, db.all<DueRow>("SELECT subject, due_us FROM timer WHERE kind = 'exchange.pull'"));
    std::map<std::int64_t, std::int64_t> valid;
    for (const auto& k : keys) valid[k.peer] = k.count;
    std::map<std::string, std::int64_t> next;
    for (const auto& t : due) next[t.subject] = t.due_us;
    for (const auto& r : rows) {
      ShownPeer s;
      s.peer = peer_of(r);
      s.has_secret = !r.secret.empty();
      s.version = version_of(r);
      if (const auto k = valid.find(r.id); k != valid.end()) s.keys = k->second;
      if (const auto t = next.find(std::to_string(r.id)); t != next.end() && r.state != "paused")
        s.next = from_micros(t->second);
      out.push_back(std::move(s));
    }
    return {};
  }));
  return out;
}

Result<ShownPeer> PeerDesk::show(const event::Scope& scope, std::int64_t id) const {
  BAVN_TRY(auto all, list(scope));
  const auto it = std::ranges::find(all, id, [](const ShownPeer& s) { return s.peer.id; });
  if (it == all.end()) return fail(Code::not_found, "there is no such partner", std::to_string(id));
  return std::move(*it);
}

Result<std::int64_t> PeerDesk::named(std::string_view id_or_name) const {
  std::int64_t id = 0;
  const auto [end, ec] = std::from_chars(id_or_name.data(), id_or_name.data() + id_or_name.size(), id);
  const bool number = ec == std::errc() && end == id_or_name.data() + id_or_name.size();
  BAVN_TRY(const auto found, parts_.state.read([&](store::Reader& db) {
    return db.one<std::int64_t>(
        "SELECT id FROM exchange_peer WHERE name = :n OR (:number AND id = :i) ORDER BY name = :n DESC LIMIT 1",
        {{"n", id_or_name}, {"number", number}, {"i", id}});
  }));
  if (!found) return fail(Code::not_found, "there is no such partner", std::string(id_or_name.substr(0, 100)));
  return *found;
}

Result<std::int64_t> PeerDesk::add(const event::Scope& scope, const NewPeer& p, bool paused) {
  BAVN_CHECK(need_all(scope, event::Right::settings_write, "change partners"));
  BAVN_CHECK(check(p));
  std::int64_t id = 0;
  BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto many, tx.number("SELECT count(*) FROM exchange_peer"));
    if (many >= static_cast<std::int64_t>(kMostPeers))
      return fail(Code::conflict, fmt::format("there are {} partners already", many));
    BAVN_TRY(const auto same, tx.number("SELECT count(*) FROM exchange_peer WHERE name = :n", {{"n", p.name}}));
    if (same > 0) return fail(Code::conflict, "there is a partner of this name", "/name");
    BAVN_CHECK(tx.exec(
        "INSERT INTO exchange_peer (name, kind, direction, url, sign_in, user, secret, options, ceiling, kinds, "
        "sectors, confidence, strongest, tlp, valid_days, every_s, state, cursor, tried_us, ok_us, newest_us, error, "
        "failures, taken, demoted, dropped, sent, made_by, made_us) VALUES (:name, :kind, :direction, '', '', '', '', "
        "'', '', '', '', 0, '', '', 0, 0, :state, '', 0, 0, 0, '', 0, 0, 0, 0, 0, :who, :now)",
        {{"state", paused ? "paused" : "new"},
         {"name", p.name},
         {"kind", p.kind},
         {"direction", p.direction},
         {"who", scope.who()},
         {"now", tx.now()}}));
    id = tx.last_id();
    BAVN_CHECK(write_down(tx, id, p));
    BAVN_TRY(const auto row,
             tx.one<PeerRow>("SELECT " BAVN_PEER_COLUMNS " FROM exchange_peer WHERE id = :i", {{"i", id}}));
    if (!paused) BAVN_CHECK(plan(tx, peer_of(*row), tx.now()));
    BAVN_CHECK(tx.emit("peer.changed", std::to_string(id)));
    return tx.audit({scope.who(), "peer.added", fmt::format("peer:{}", id), detail_of(p)});
  }));
  BAVN_CHECK(keys_->reload());
  return id;
}

Result<void> PeerDesk::change(const event::Scope& scope, std::int64_t id, const NewPeer& p, std::string_view version) {
  BAVN_CHECK(need_all(scope, event::Right::settings_write, "change partners"));
  BAVN_CHECK(check(p));
  BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row,
             tx.one<PeerRow>("SELECT " BAVN_PEER_COLUMNS " FROM exchange_peer WHERE id = :i", {{"i", id}}));
    if (!row) return fail(Code::not_found, "there is no such partner", std::to_string(id));
    if (!version.empty() && version != version_of(*row))
      return fail(Code::conflict, "it was changed since it was read", "/version");
    BAVN_TRY(const auto same,
             tx.number("SELECT count(*) FROM exchange_peer WHERE name = :n AND id <> :i", {{"n", p.name}, {"i", id}}));
    if (same > 0) return fail(Code::conflict, "there is a partner of this name", "/name");
    // What it gave is named after it: under another name nothing could be withdrawn.
    if (row->name != p.name && row->taken > 0)
      return fail(Code::conflict, "indicators carry its name: it keeps it", "/name");
    const bool elsewhere = row->url != p.url || row->kind != p.kind || row->options != p.options;
    // A secret is for the place it was given for: who can change the address (or where its token comes from) must not learn it.
    if (elsewhere && !row->secret.empty() && !p.secret)
      return fail(Code::bad_input, "its address or options changed: the secret must be given again", "/secret");
    BAVN_CHECK(write_down(tx, id, p));
    if (elsewhere) BAVN_CHECK(tx.exec("UPDATE exchange_peer SET cursor = '' WHERE id = :i", {{"i", id}}));
    BAVN_TRY(const auto now,
             tx.one<PeerRow>("SELECT " BAVN_PEER_COLUMNS " FROM exchange_peer WHERE id = :i", {{"i", id}}));
    if (now->state != "paused") {
      BAVN_CHECK(tx.clear_timer(kPull, std::to_string(id)));
      BAVN_CHECK(plan(tx, peer_of(*now), tx.now()));
    }
    BAVN_CHECK(tx.emit("peer.changed", std::to_string(id)));
    return tx.audit({scope.who(), "peer.changed", fmt::format("peer:{}", id), detail_of(p)});
  }));
  return keys_->reload();
}

Result<void> PeerDesk::remove(const event::Scope& scope, std::int64_t id, bool with_indicators) {
  BAVN_CHECK(need_all(scope, event::Right::settings_write, "change partners"));
  BAVN_TRY(const Peer p, peer(id));
  std::uint64_t gone = 0;
  if (with_indicators) {
    BAVN_TRY(const auto all, parts_.state.read([&](store::Reader& db) { return parts_.of_peer(db, p.name); }));
    BAVN_TRY(gone, parts_.withdraw(scope, all));
  }
  BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    for (const char* sql :
         {"DELETE FROM exchange_key WHERE peer = :i", "DELETE FROM exchange_dropped WHERE peer = :i",
          "DELETE FROM exchange_drop_count WHERE peer = :i", "DELETE FROM exchange_peer WHERE id = :i"})
      BAVN_CHECK(tx.exec(sql, {{"i", id}}));
    BAVN_CHECK(tx.clear_timer(kPull, std::to_string(id)));
    BAVN_CHECK(tx.emit("peer.changed", std::to_string(id)));
    std::string detail;
    JsonWriter(detail).object().member("name", p.name).member("withdrawn", gone).end();
    return tx.audit({scope.who(), "peer.removed", fmt::format("peer:{}", id), detail});
  }));
  return keys_->reload();
}

Result<void> PeerDesk::pause(const event::Scope& scope, std::int64_t id, bool paused) {
  BAVN_CHECK(need_all(scope, event::Right::publish, "pause partners"));
  BAVN_TRY(const Peer p, peer(id));
  if ((p.state == "paused") == paused)
    return fail(Code::conflict, paused ? "it is paused already" : "it is not paused", std::to_string(id));
  BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE exchange_peer SET state = :s, failures = 0 WHERE id = :i",
                       {{"s", paused ? "paused" : "new"}, {"i", id}}));
    BAVN_CHECK(tx.clear_timer(kPull, std::to_string(id)));
    if (!paused) BAVN_CHECK(plan(tx, p, tx.now()));
    BAVN_CHECK(tx.emit("peer.changed", std::to_string(id)));
    return tx.audit({scope.who(), paused ? "peer.paused" : "peer.resumed", fmt::format("peer:{}", id), "{}"});
  }));
  return keys_->reload();
}

Result<void> PeerDesk::pull_now(const event::Scope& scope, std::int64_t id) {
  BAVN_CHECK(need_all(scope, event::Right::publish, "ask partners"));
  BAVN_TRY(const Peer p, peer(id));
  if (p.state == "paused") return fail(Code::conflict, "exchange with this partner is paused", std::to_string(id));
  if (!is_asked(p))
    return fail(Code::conflict,
                p.url.empty() ? "this partner comes to us: there is nothing to ask"
                              : "this hub asks nobody: it has no way out or does not know this kind",
                std::to_string(id));
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(plan(tx, p, tx.now()));
    return tx.audit({scope.who(), "peer.asked", fmt::format("peer:{}", id), "{}"});
  });
}

Result<std::vector<DroppedRow>> PeerDesk::dropped(const event::Scope& scope, std::int64_t id, std::string_view reason,
                                                  std::int64_t before, std::size_t limit) const {
  BAVN_CHECK(need_all(scope, event::Right::tenants_read, "see partners"));
  BAVN_CHECK(peer(id));
  return parts_.state.read([&](store::Reader& db) {
    return db.all<DroppedRow>(
        "SELECT id, at_us, what, object, reason FROM exchange_dropped WHERE peer = :p AND (:r = '' OR reason = :r) AND "
        "(:b = 0 OR id < :b) ORDER BY id DESC LIMIT :n",
        {{"p", id}, {"r", reason}, {"b", before}, {"n", limit}});
  });
}

Result<std::vector<DropCount>> PeerDesk::drop_counts(const event::Scope& scope, std::int64_t id) const {
  BAVN_CHECK(need_all(scope, event::Right::tenants_read, "see partners"));
  return parts_.state.read([&](store::Reader& db) {
    return db.all<DropCount>(
        "SELECT reason, count, first_us, newest_us FROM exchange_drop_count WHERE peer = :p ORDER BY count DESC, "
        "reason LIMIT 500",
        {{"p", id}});
  });
}

Result<std::vector<SourceSectors>> PeerDesk::sectors(const event::Scope& scope) const {
  BAVN_CHECK(need_all(scope, event::Right::tenants_read, "see partners"));
  BAVN_TRY(const auto rows, parts_.state.read([](store::Reader& db) {
    return db.all<SectorRow>(
        "SELECT source, sector FROM exchange_sector WHERE sector NOT LIKE '!%' ORDER BY source, sector LIMIT 100000");
  }));
  std::vector<SourceSectors> out;
  for (const auto& r : rows) {
    if (out.empty() || out.back().source != r.source) out.push_back({r.source, {}});
    out.back().sectors.push_back(r.sector);
  }
  return out;
}

Result<void> PeerDesk::set_sectors(const event::Scope& scope, const SourceSectors& of) {
  BAVN_CHECK(need_all(scope, event::Right::settings_write, "change sectors"));
  if (of.source.empty() || of.source.size() > 200 || !plain_words(of.source))
    return fail(Code::bad_input, "a source has 1 to 200 bytes", "/source");
  BAVN_CHECK(check_sectors(of.sectors));
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("DELETE FROM exchange_sector WHERE source = :s AND sector NOT LIKE '!%'", {{"s", of.source}}));
    for (const auto& sector : of.sectors)
      BAVN_CHECK(tx.exec("INSERT OR IGNORE INTO exchange_sector (source, sector) VALUES (:s, :x)",
                         {{"s", of.source}, {"x", sector}}));
    std::string detail;
    JsonWriter w(detail);
    w.object().key("sectors").raw(names_json(of.sectors)).end();
    return tx.audit({scope.who(), "sectors.changed", of.source, detail});
  });
}

// ---- what comes in

Result<void> PeerDesk::write_taken(store::Tx& tx, std::int64_t peer, const Taken& taken) const {
  BAVN_TRY(
      const auto there,
      tx.exec(
          "UPDATE exchange_peer SET taken = taken + :t, demoted = demoted + :m, dropped = dropped + :d WHERE id = :p",
          {{"t", taken.published}, {"m", taken.demoted}, {"d", taken.dropped}, {"p", peer}}));
  if (there == 0) return fail(Code::not_found, "there is no such partner", std::to_string(peer));
  if (taken.reasons.empty()) return {};
  for (const auto& each : taken.list)
    BAVN_CHECK(tx.exec(
        "INSERT INTO exchange_dropped (peer, at_us, what, object, reason) VALUES (:p, :now, :w, :o, :r)",
        {{"p", peer}, {"now", tx.now()}, {"w", each.what.substr(0, 40)}, {"o", each.object}, {"r", each.reason}}));
  BAVN_CHECK(
      tx.exec("DELETE FROM exchange_dropped WHERE peer = :p AND id <= (SELECT id FROM exchange_dropped WHERE peer = :p "
              "ORDER BY "
              "id DESC LIMIT 1 OFFSET :kept)",
              {{"p", peer}, {"kept", limits_.dropped_kept}}));
  BAVN_TRY(auto known, tx.number("SELECT count(*) FROM exchange_drop_count WHERE peer = :p", {{"p", peer}}));
  for (const auto& [reason, count] : taken.reasons) {
    BAVN_TRY(const auto old, tx.number("SELECT count(*) FROM exchange_drop_count WHERE peer = :p AND reason = :r",
                                       {{"p", peer}, {"r", reason}}));
    const bool room = old > 0 || known < static_cast<std::int64_t>(kMostReasons);
    if (old == 0 && room) ++known;
    BAVN_CHECK(tx.exec(
        "INSERT INTO exchange_drop_count (peer, reason, count, first_us, newest_us) VALUES (:p, :r, :c, :now, :now) "
        "ON CONFLICT (peer, reason) DO UPDATE SET count = count + excluded.count, newest_us = excluded.newest_us",
        {{"p", peer}, {"r", room ? std::string_view(reason) : "other reasons"}, {"c", count}, {"now", tx.now()}}));
  }
  return {};
}

Result<Taken> PeerDesk::publish(std::int64_t id, std::vector<Delivered> delivered, std::string_view name) {
  BAVN_TRY(const Peer p, peer(id));
  if (p.direction == "out") return fail(Code::forbidden, "nothing is taken from this partner", p.name);
  if (p.state == "paused") return fail(Code::conflict, "exchange with this partner is paused", p.name);
  Judged judged = judge(p, std::move(delivered), parts_.runtime.now(), limits_, parts_.never_blocked);
  const auto scope =
      event::Scope::everywhere("peer:" + p.name, static_cast<std::uint32_t>(event::Right::publish), event::Tlp::red);
  if (!judged.closed.empty())  // before there is anything that could be passed on
    BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
      for (const std::string& source : judged.closed)
        BAVN_CHECK(tx.exec("INSERT OR IGNORE INTO exchange_sector (source, sector) VALUES (:s, :x)",
                           {{"s", source}, {"x", kMembersOnly}}));
      return {};
    }));
  if (!judged.publish.empty())
    BAVN_CHECK(parts_.publish(scope, std::move(judged.publish), fmt::format("{}: {}", p.name, name.substr(0, 200))));
  if (judged.taken.published + judged.taken.reasons.size() > 0)
    BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) { return write_taken(tx, id, judged.taken); }));
  return std::move(judged.taken);
}

Result<std::uint64_t> PeerDesk::withdraw(std::int64_t id, std::vector<mi::Removal> removals) {
  BAVN_TRY(const Peer p, peer(id));
  for (auto& r : removals) r.source = source_of(p, r.source);
  const auto scope =
      event::Scope::everywhere("peer:" + p.name, static_cast<std::uint32_t>(event::Right::publish), event::Tlp::red);
  return parts_.withdraw(scope, removals);
}

Result<Imported> PeerDesk::import(const event::Scope& scope, std::int64_t id, std::string_view bytes,
                                  std::string_view name, std::optional<event::Tlp> tlp, bool dry_run) {
  BAVN_CHECK(need_all(scope, event::Right::publish, "publish indicators"));
  BAVN_TRY(const Peer p, peer(id));
  mi::LoadOptions options;
  options.confidence = p.confidence;
  options.tlp = tlp.value_or(p.tlp);
  options.action = p.strongest;
  Taken refused;
  options.dropped = [&](std::string_view reason, std::string_view where, std::string_view value) {
    note_dropped(refused, "line",
                 value.empty() ? std::string(where) : fmt::format("{}: {}", where, value.substr(0, 200)), reason);
  };
  std::vector<Delivered> all;
  BAVN_TRY(const auto report, mi::load_bytes(
                                  bytes, name,
                                  [&](const mi::Indicator& i) -> Result<void> {
                                    all.push_back({i, i.value.substr(0, 200)});
                                    return {};
                                  },
                                  options));
  Imported done;
  done.format = report.format;
  done.read = all.size();
  if (dry_run) {
    done.taken = judge(p, std::move(all), parts_.runtime.now(), limits_, parts_.never_blocked).taken;
  } else {
    if (!all.empty()) {
      BAVN_TRY(done.taken, publish(id, std::move(all), name));
    }
    BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(write_taken(tx, id, refused));
      std::string detail;
      JsonWriter(detail)
          .object()
          .member("name", name.substr(0, 200))
          .member("published", done.taken.published)
          .member("dropped", done.taken.dropped + refused.dropped)
          .end();
      return tx.audit({scope.who(), "peer.imported", fmt::format("peer:{}", id), detail});
    }));
  }
  done.taken.dropped += refused.dropped;
  for (auto& each : refused.list)
    if (done.taken.list.size() < kMostListed) done.taken.list.push_back(std::move(each));
  for (const auto& [reason, n] : refused.reasons) done.taken.reasons[reason] += n;
  return done;
}

Result<std::vector<Known>> PeerDesk::for_partner(const Partner& partner, LibraryAsk ask) const {
  const std::size_t limit = std::clamp<std::size_t>(ask.limit, 1, 10'000);
  ask.ceiling = std::min(ask.ceiling, partner.ceiling);
  ask.except_peer = partner.name;
  std::vector<Known> out;
  for (;;) {
    ask.limit = limit;
    BAVN_TRY(auto page, library_.read(ask));
    const bool end = page.size() < limit;
    if (!page.empty()) {
      ask.after = page.back().changed;
      ask.after_id = page.back().id;
    }
    for (Known& k : page) {
      const auto kind = k.indicator.is_pattern() ? std::string_view() : event::to_string(k.indicator.kind);
      if (out.size() < limit && partner.may_have(k.indicator.tlp, k.sectors, kind)) out.push_back(std::move(k));
    }
    if (end || out.size() >= limit) return out;
  }
}

// ---- turns

void PeerDesk::pull(const store::Job& job, store::Done done) {
  std::int64_t id = 0;
  std::from_chars(job.subject.data(), job.subject.data() + job.subject.size(), id);
  auto row = parts_.state.read([&](store::Reader& db) {
    return db.one<PeerRow>("SELECT " BAVN_PEER_COLUMNS " FROM exchange_peer WHERE id = :i", {{"i", id}});
  });
  if (!row) return done(std::unexpected(row.error()));
  if (!*row || (*row)->state == "paused") return done({});  // removed or paused meanwhile
  const PeerRow& r = **row;
  Peer p = peer_of(r);
  if (!is_asked(p)) return done({});
  if (!running_.with([&](auto& running) { return running.insert(id).second; })) return done({});  // it is being asked
  using Client = GatedClient<Gate>;
  auto kept = std::make_shared<Kept<Client>>(Kept<Client>{library_, Client(parts_.runtime, *parts_.client, gate_)});
  auto turn = std::make_shared<Pull>(Pull{.peer = p,
                                          .runtime = parts_.runtime,
                                          .client = kept->client,
                                          .queue = queue_,
                                          .library = kept->library,
                                          .authorization = header_of(r),
                                          .max_reply = limits_.largest_answer,
                                          .keeps = kept});
  if (r.sign_in == "oauth") turn->secret = std::make_shared<const Secret<std::string>>(Secret<std::string>(r.secret));
  Answer answer([this, gate = gate_, p, done = std::move(done)](Result<Pulled> result) mutable {
    (void)gate->pass([&]() -> Result<void> {
      ended(p, std::move(result), std::move(done));
      return {};
    });
  });
  parts_.pullers.find(p.kind)->second(
      std::move(turn), [answer = std::move(answer)](Result<Pulled> result) mutable { answer(std::move(result)); });
}

void PeerDesk::ended(const Peer& before, Result<Pulled> result, store::Done done) {
  if (result && result->cursor.size() > kMostCursor)
    result = fail(Code::bad_input, "its position is longer than can be kept");
  running_.with([&](auto& running) { running.erase(before.id); });
  parts_.state.write([this, before, result = std::move(result)](store::Tx& tx) { return pulled(tx, before, result); },
                     std::move(done));
}

Result<void> PeerDesk::pulled(store::Tx& tx, const Peer& before, const Result<Pulled>& result) const {
  const std::string_view error = result ? std::string_view() : std::string_view(result.error().what);
  const bool refused = !result && result.error().code == Code::forbidden;
  const std::string_view state = result ? "ok" : refused ? "refused" : "away";
  const std::int64_t failures = result ? 0 : before.failures + 1;
  if (result) {
    // A partner's clock that runs ahead must not hide what comes next.
    const Instant newest = std::min(std::max(result->newest, before.newest), tx.now());
    BAVN_CHECK(tx.exec(
        "UPDATE exchange_peer SET state = CASE WHEN state = 'paused' THEN state ELSE 'ok' END, cursor = :c, tried_us = "
        ":now, ok_us = :now, newest_us = :newest, error = '', failures = 0, sent = sent + :sent WHERE id = :i AND url "
        "= :url",
        {{"c", result->cursor},
         {"now", tx.now()},
         {"newest", newest},
         {"sent", result->sent},
         {"i", before.id},
         {"url", before.url}}));
  } else {
    BAVN_CHECK(
        tx.exec("UPDATE exchange_peer SET state = CASE WHEN state = 'paused' THEN state ELSE :s END, tried_us = :now, "
                "error = :e, failures = :f WHERE id = :i",
                {{"s", state},
                 {"now", tx.now()},
                 {"e", repair_utf8(error.substr(0, 1000))},
                 {"f", failures},
                 {"i", before.id}}));
  }
  BAVN_TRY(const auto row,
           tx.one<PeerRow>("SELECT " BAVN_PEER_COLUMNS " FROM exchange_peer WHERE id = :i", {{"i", before.id}}));
  if (!row || row->state == "paused") return {};
  Duration pause = std::chrono::seconds(row->every_s);
  if (result && result->more) pause = 1s;
  if (!result) {
    pause = refused ? Duration(24h)
                    : std::min<Duration>(1min * (std::int64_t{1} << std::min<std::int64_t>(failures - 1, 16)),
                                         limits_.longest_pause);
    log::warn("peer_not_answered", {{"peer", before.name}, {"state", state}, {"reason", error.substr(0, 300)}});
  }
  BAVN_CHECK(plan(tx, peer_of(*row), tx.now() + pause));
  BAVN_CHECK(tx.emit("peer.changed", std::to_string(before.id)));
  if (before.state == state) return {};
  std::string detail;
  JsonWriter(detail).object().member("from", before.state).member("to", state).end();
  return tx.emit("peer.state", std::to_string(before.id), detail);
}

}  // namespace bavn::exchange
