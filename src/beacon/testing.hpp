#pragma once
// A hub and nodes in virtual time, for this module's tests.
#include <gtest/gtest.h>

#include <boost/describe/class.hpp>
#include <map>
#include <memory>
#include <set>

#include "base/encoding.hpp"
#include "base/sim.hpp"
#include "beacon/hub.hpp"
#include "beacon/node.hpp"
#include "net/sim.hpp"

namespace bavn::beacon::testing {

using namespace std::chrono_literals;

inline SigningKey key_of(char c) {
  std::array<char, 32> seed{};
  seed.fill(c);
  return SigningKey::from_seed(seed);
}

/// "<epoch> <from> <until> <hub key> <signature of the root>": stands for the statements of tenants.
inline std::string statement(const SigningKey& root, const PublicKey& hub, std::uint64_t epoch, Instant from = {},
                             Instant until = from_micros(1LL << 60)) {
  const std::string text = std::to_string(epoch) + " " + std::to_string(micros(from)) + " " +
                           std::to_string(micros(until)) + " " + hub.text();
  return text + " " + to_base64url(root.sign("test statement", text));
}
inline CheckStatement check_statement(const PublicKey& root) {
  return [root](std::string_view text) -> Result<CertifiedKey> {
    const auto cut = text.rfind(' ');
    if (cut == std::string_view::npos) return fail(Code::forbidden, "no statement");
    BAVN_TRY(const auto signature, from_base64url(text.substr(cut + 1)));
    if (!root.verify("test statement", text.substr(0, cut), signature))
      return fail(Code::forbidden, "not signed by the root");
    unsigned long long epoch = 0, from = 0, until = 0;
    char key[64] = {};
    if (std::sscanf(std::string(text).c_str(), "%llu %llu %llu %63s", &epoch, &from, &until, key) != 4)
      return fail(Code::forbidden, "no statement");
    BAVN_TRY(const auto hub, PublicKey::parse(key));
    return CertifiedKey{hub, epoch, from_micros(static_cast<std::int64_t>(from)),
                        from_micros(static_cast<std::int64_t>(until))};
  };
}

struct Got {
  std::string stream;
  std::int64_t seq = 0, item = 0;
  std::string kind, payload;
  friend bool operator==(const Got&, const Got&) = default;
};
BOOST_DESCRIBE_STRUCT(Got, (), (stream, seq, item, kind, payload))

struct Heard {
  std::string node, id, kind;
  std::int64_t municipality = 0;
  std::string body;
};
BOOST_DESCRIBE_STRUCT(Heard, (), (node, id, kind, municipality, body))

class Members final : public NodesOf {
 public:
  Result<NodeFacts> by_certificate(const std::string& serial) override {
    const auto found = facts.find(serial);
    if (found == facts.end()) return fail(Code::not_found, "nobody's certificate");
    return found->second;
  }
  std::map<std::string, NodeFacts> facts;
};

inline Result<AuditHead> audit_head(store::Reader& r) {
  BAVN_TRY(const auto seq, r.number("SELECT coalesce(max(seq), 0) FROM audit"));
  AuditHead head{static_cast<std::uint64_t>(seq), {}};
  if (seq > 0) {
    BAVN_TRY(const auto hash, r.one<store::Blob>("SELECT hash FROM audit WHERE seq = :s", {{"s", seq}}));
    BAVN_TRY(head.hash, hash_from(hash->bytes));
  }
  return head;
}

class TestHub {
 public:
  static constexpr auto kAddress = "hub.example.org:443";
  explicit TestHub(Sim& s, std::uint64_t epoch_ = 1) : sim(s), epoch(epoch_) {
    auto opened = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}});
    EXPECT_TRUE(opened) << to_string(opened.error());
    state = std::move(*opened);
    EXPECT_TRUE(state->write_now([](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("CREATE TABLE heard (node TEXT, id TEXT, kind TEXT, municipality INTEGER, body TEXT) STRICT"));
      return {};
    }));
    handlers = sim.queue({.name = "handlers", .limit = 100'000});
    begin();
  }
  ~TestHub() { end(); }

  void begin(HubOptions options = {}) {
    options.folder = "/hub/beacon";
    std::vector<std::string> statements;
    for (std::uint64_t e = 1; e <= epoch; ++e)
      statements.push_back(statement(root, key_of(static_cast<char>('a' + e)).public_key(), e));
    auto made = HubBeacon::open(
        sim, *state, members, metrics,
        {std::make_shared<SigningKey>(key_of(static_cast<char>('a' + epoch))), epoch, statements}, options);
    ASSERT_TRUE(made) << to_string(made.error());
    beacon = std::move(*made);
    beacon->on_other_report([](store::Tx& tx, const Report& r) -> Result<void> {
      BAVN_CHECK(tx.exec("INSERT INTO heard (node, id, kind, municipality, body) VALUES (:n, :i, :k, :m, :b)",
                         {{"n", r.node}, {"i", r.id}, {"k", r.kind}, {"m", r.municipality}, {"b", r.body}}));
      if (r.body.find("refuse-me") != std::string_view::npos)
        return fail(Code::bad_input, "the hub's handler does not like it");
      return {};
    });
    beacon->witness(audit_head);
    router = std::make_unique<net::Router>();
    router->authenticate([this](const net::Request& q) -> Result<event::Scope> {
      BAVN_TRY(const auto facts, members.by_certificate(q.peer.certificate_serial));
      if (facts.revoked) return fail(Code::forbidden, "revoked");
      return event::Scope(
          facts.node, facts.municipalities,
          static_cast<std::uint32_t>(event::Right::follow) | static_cast<std::uint32_t>(event::Right::report),
          event::Tlp::red);
    });
    beacon->add_routes(*router);
    listen();
    if (!std::exchange(started, true)) state->start();
    beacon->start();
  }
  void listen() {
    auto made = net::SimServer::start(sim, *router, kAddress, handlers);
    ASSERT_TRUE(made) << to_string(made.error());
    server = std::move(*made);
  }
  void end() {
    server.reset();
    router.reset();
    beacon.reset();
  }

  Result<Published> urgent(std::optional<MunicipalityId> to, Post post) {
    Result<Published> out = fail(Code::corrupt, "");
    const auto written = state->write_now([&](store::Tx& tx) -> Result<void> {
      out = beacon->urgent(tx, to, post);
      if (!out) return std::unexpected(out.error());
      return {};
    });
    if (!written) return std::unexpected(written.error());
    return out;
  }
  Result<Published> bulk(std::string_view audience, Post post) {
    Result<Published> out = fail(Code::corrupt, "");
    const auto written = state->write_now([&](store::Tx& tx) -> Result<void> {
      out = beacon->bulk(tx, audience, post);
      if (!out) return std::unexpected(out.error());
      return {};
    });
    if (!written) return std::unexpected(written.error());
    return out;
  }
  std::uint64_t tip(std::string_view stream) {
    return state->read([&](store::Reader& r) { return beacon->tip(r, stream); }).value_or(0);
  }
  /// Every bulk item in the log, in order.
  std::vector<Got> items(std::string_view stream, std::uint64_t until = 1ULL << 60) {
    std::vector<Got> out;
    const auto rows = state->read([&](store::Reader& r) {
      return r.all<store::Blob>("SELECT entry FROM beacon_entry WHERE stream = :s AND seq <= :u ORDER BY seq",
                                {{"s", stream}, {"u", until}});
    });
    for (const auto& row : rows.value_or(std::vector<store::Blob>{})) {
      const auto entry = decode_entry(row.bytes);
      if (!entry || entry->kind != "segment") continue;
      const auto ref = decode_file_ref(entry->payload);
      const auto file = read_file(sim.files(), "/hub/beacon/" + to_hex(view(ref->hash)) + ".seg", 1U << 26U);
      EXPECT_TRUE(file) << to_string(file.error());
      const auto decoded = decode_segment(*file);
      std::int64_t n = 0;
      for (const auto& item : *decoded)
        out.push_back({entry->head.stream, static_cast<std::int64_t>(entry->head.seq), n++, item.kind, item.payload});
    }
    return out;
  }
  std::vector<Heard> heard() {
    return state
        ->read([](store::Reader& r) {
          return r.all<Heard>("SELECT node, id, kind, municipality, body FROM heard ORDER BY rowid");
        })
        .value();
  }

  Sim& sim;
  std::uint64_t epoch;
  SigningKey root = key_of('r');
  std::unique_ptr<store::State> state;
  Metrics metrics;
  Members members;
  QueueId handlers{};
  std::unique_ptr<HubBeacon> beacon;
  std::unique_ptr<net::Router> router;
  std::unique_ptr<net::SimServer> server;
  bool started = false;
};

/// Everything that goes over the wire, before anybody notes it.
class Tap final : public net::Client {
 public:
  Tap(std::unique_ptr<net::Client> inner) : inner_(std::move(inner)) {}
  void send(net::ClientRequest request, QueueId queue,
            std::move_only_function<void(Result<net::ClientReply>)> then) override {
    sent.push_back(request);
    inner_->send(std::move(request), queue, std::move(then));
  }
  std::shared_ptr<net::OpenStream> stream(net::ClientRequest request, QueueId queue,
                                          net::StreamEvents events) override {
    sent.push_back(request);
    return inner_->stream(std::move(request), queue, std::move(events));
  }
  std::vector<net::ClientRequest> sent;

 private:
  std::unique_ptr<net::Client> inner_;
};

class TestNode {
 public:
  TestNode(Sim& s, TestHub& hub, std::string name_, std::vector<MunicipalityId> municipalities_,
           std::vector<std::string> audiences = {},
           store::StateOptions options = {.path = ":memory:", .schema = {"core", "node"}})
      : sim(s), name(std::move(name_)), municipalities(std::move(municipalities_)), root(hub.root.public_key()) {
    hub.members.facts["c-" + name] = {name, municipalities, std::move(audiences), false, ""};
    auto opened = store::State::open(sim, options);
    EXPECT_TRUE(opened) << to_string(opened.error());
    state = std::move(*opened);
    EXPECT_TRUE(state->write_now([](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("CREATE TABLE got (stream TEXT, seq INTEGER, item INTEGER, kind TEXT, payload TEXT) STRICT"));
      BAVN_CHECK(tx.exec("CREATE TABLE base_line (payload TEXT) STRICT"));
      return {};
    }));
    tap = std::make_unique<Tap>(net::sim_client(
        sim, {.address = "192.0.2.7", .tls = true, .certificate_serial = "c-" + name, .certificate_name = name}));
    state->start();
    begin();
  }
  ~TestNode() { end(); }

  void begin(bool start = true) {
    NodeOptions o;
    o.hub = "https://hub.example.org";
    o.node = name;
    o.version = "test";
    o.check = check_statement(root);
    o.municipalities = municipalities;
    o.folder = "/" + name + "/beacon";
    o.shared_bases = shared_bases;
    o.witness = std::make_shared<SigningKey>(key_of(name.back()));
    o.audit_head = audit_head;
    o.spool = spool_options;
    auto made = NodeBeacon::open(sim, *state, *tap, metrics, o);
    ASSERT_TRUE(made) << to_string(made.error());
    beacon = std::move(*made);
    beacon->on_other_entry([this](store::Tx& tx, const Received& r) -> Result<void> {
      ++handed;
      if (failing) return fail(Code::unavailable, "something here is not ready");
      BAVN_CHECK(tx.exec("INSERT INTO got (stream, seq, item, kind, payload) VALUES (:s, :q, :i, :k, :p)",
                         {{"s", r.stream}, {"q", r.seq}, {"i", r.item}, {"k", r.kind}, {"p", r.payload}}));
      if (r.payload == "refuse-me") return fail(Code::bad_input, "the node's handler does not like it");
      return {};
    });
    beacon->on_base([this](store::Tx& tx, const NewBase& b) -> Result<void> {
      ++bases;
      last_base = b;
      BAVN_TRY(const auto content, read_file(sim.files(), b.file, 1U << 26U));
      BAVN_CHECK(tx.exec("DELETE FROM base_line"));
      BAVN_CHECK(tx.exec("DELETE FROM got WHERE stream = :s AND seq <= :c",
                         {{"s", "bulk/" + b.audience}, {"c", b.covers_seq}}));
      std::size_t from = 0;
      for (auto at = content.find('\n'); at != std::string::npos; from = at + 1, at = content.find('\n', from))
        BAVN_CHECK(tx.exec("INSERT INTO base_line (payload) VALUES (:p)", {{"p", content.substr(from, at - from)}}));
      return {};
    });
    if (start) beacon->start();
  }
  void end() {
    if (beacon) beacon->stop();
    beacon.reset();
  }

  Result<void> report(std::string kind, std::string json, MunicipalityId of, event::Tlp tlp = event::Tlp::amber) {
    return state->write_now([&](store::Tx& tx) { return beacon->report(tx, kind, json, of, tlp); });
  }
  std::vector<Got> got(std::string_view like = "%") {
    return state
        ->read([&](store::Reader& r) {
          return r.all<Got>("SELECT stream, seq, item, kind, payload FROM got WHERE stream LIKE :l ORDER BY rowid",
                            {{"l", like}});
        })
        .value();
  }
  std::vector<std::string> base_lines() {
    return state
        ->read([&](store::Reader& r) { return r.all<std::string>("SELECT payload FROM base_line ORDER BY rowid"); })
        .value();
  }
  std::int64_t number(std::string_view sql) {
    return state->read([&](store::Reader& r) { return r.number(sql); }).value_or(-1);
  }

  Sim& sim;
  std::string name;
  std::vector<MunicipalityId> municipalities;
  std::vector<std::string> shared_bases;
  SpoolOptions spool_options;
  PublicKey root;
  std::unique_ptr<store::State> state;
  Metrics metrics;
  std::unique_ptr<Tap> tap;
  std::unique_ptr<NodeBeacon> beacon;
  int handed = 0, bases = 0;
  bool failing = false;
  NewBase last_base;
};

}  // namespace bavn::beacon::testing
