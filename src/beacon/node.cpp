#include "beacon/node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/describe/class.hpp>
#include <charconv>
#include <map>

#include "base/encoding.hpp"
#include "base/guarded.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "beacon/reports.hpp"
#include "net/url.hpp"
#include "tenants/trust.hpp"

namespace bavn::beacon {

namespace {

constexpr std::uint64_t kKeptHeads = 4096;  // of each stream
constexpr std::int64_t kKeptEvidence = 1000;
constexpr std::size_t kEvidenceBytes = 8U << 10U;
constexpr Duration kSoon = std::chrono::milliseconds{20};  // after a report: its Tx has committed by then, mostly

struct CursorRow {
  std::string stream;
  std::int64_t epoch = 0, seq = 0;
  store::Blob hash;
};
BOOST_DESCRIBE_STRUCT(CursorRow, (), (stream, epoch, seq, hash))

struct FollowRow {
  std::int64_t urgent = 0, bulk = 0, epoch = 0;
  std::string fork_stream;
  std::int64_t fork_seq = 0;
  store::Blob fork_known, fork_offered;
  std::string fork_why;
};
BOOST_DESCRIBE_STRUCT(FollowRow, (), (urgent, bulk, epoch, fork_stream, fork_seq, fork_known, fork_offered, fork_why))

struct BaseRow {
  std::string file, previous_file;
};
BOOST_DESCRIBE_STRUCT(BaseRow, (), (file, previous_file))

struct HeadRow {
  store::Blob head, signature;
};
BOOST_DESCRIBE_STRUCT(HeadRow, (), (head, signature))

Result<Saved> load(store::Reader& r) {
  Saved saved;
  BAVN_TRY(
      const auto row,
      r.one<FollowRow>(
          "SELECT urgent, bulk, epoch, fork_stream, fork_seq, fork_known, fork_offered, fork_why FROM beacon_follow"));
  if (!row) return fail(Code::corrupt, "the beacon's row is missing in this node's state");
  saved.position = {static_cast<std::uint64_t>(row->urgent), static_cast<std::uint64_t>(row->bulk)};
  saved.epoch = static_cast<std::uint64_t>(row->epoch);
  if (!row->fork_stream.empty())
    saved.fork = Fork{row->fork_stream, static_cast<std::uint64_t>(row->fork_seq), row->fork_known.bytes,
                      row->fork_offered.bytes, row->fork_why};
  BAVN_TRY(const auto cursors, r.all<CursorRow>("SELECT stream, epoch, seq, hash FROM beacon_cursor"));
  for (const auto& c : cursors) {
    BAVN_TRY(const Hash hash, hash_from(c.hash.bytes));
    saved.cursors[c.stream] = {static_cast<std::uint64_t>(c.epoch), static_cast<std::uint64_t>(c.seq), hash};
  }
  return saved;
}

Result<void> keep_evidence(store::Tx& tx, const Entry& entry, const std::string& why) {
  std::string bytes = entry.head.seq > 0 ? encode(entry) : std::string{};
  bytes.resize(std::min(bytes.size(), kEvidenceBytes));
  BAVN_CHECK(tx.exec("INSERT INTO beacon_evidence (at_us, stream, seq, why, entry) VALUES (:at, :s, :q, :w, :e)",
                     {{"at", tx.now()},
                      {"s", entry.head.stream},
                      {"q", entry.head.seq},
                      {"w", why},
                      {"e", store::Blob{std::move(bytes)}}}));
  BAVN_CHECK(tx.exec("DELETE FROM beacon_evidence WHERE id <= :id", {{"id", tx.last_id() - kKeptEvidence}}));
  return {};
}

Result<void> keep_cursor(store::Tx& tx, const std::string& stream, const Cursor& c) {
  BAVN_CHECK(tx.exec(
      "INSERT INTO beacon_cursor (stream, epoch, seq, hash, at_us) VALUES (:s, :e, :q, :h, :at) ON CONFLICT (stream) "
      "DO UPDATE "
      "SET epoch = excluded.epoch, seq = excluded.seq, hash = excluded.hash, at_us = excluded.at_us",
      {{"s", stream}, {"e", c.epoch}, {"q", c.seq}, {"h", store::Blob{std::string(view(c.hash))}}, {"at", tx.now()}}));
  return {};
}

Result<void> keep_head(store::Tx& tx, const Entry& entry) {
  const Hash hash = hash_of(entry.head);
  BAVN_CHECK(
      tx.exec("INSERT INTO beacon_applied (stream, seq, hash, head, signature) VALUES (:s, :q, :h, :b, :g) ON CONFLICT "
              "(stream, seq) DO "
              "UPDATE SET hash = excluded.hash, head = excluded.head, signature = excluded.signature",
              {{"s", entry.head.stream},
               {"q", entry.head.seq},
               {"h", store::Blob{std::string(view(hash))}},
               {"b", store::Blob{encode(entry.head)}},
               {"g", store::Blob{entry.signature}}}));
  if (entry.head.seq > kKeptHeads && entry.head.seq % 64 == 0)
    BAVN_CHECK(tx.exec("DELETE FROM beacon_applied WHERE stream = :s AND seq <= :q",
                       {{"s", entry.head.stream}, {"q", entry.head.seq - kKeptHeads}}));
  return keep_cursor(tx, entry.head.stream, {entry.head.epoch, entry.head.seq, hash});
}

/// Wrong for good, so that trying again is of no use.
bool for_good(Code code) {
  return code == Code::bad_input || code == Code::forbidden || code == Code::conflict || code == Code::not_found;
}

std::int64_t retry_after(const net::ClientReply& reply) {
  std::int64_t seconds = 0;
  if (const auto* value = reply.headers.find("Retry-After"))
    std::from_chars(value->data(), value->data() + value->size(), seconds);
  return std::clamp<std::int64_t>(seconds, 0, 3600);
}

bool is_problem(const net::ClientReply& reply) {
  const auto* type = reply.headers.find("Content-Type");
  return type && type->starts_with("application/problem+json");
}

}  // namespace

CheckStatement statements_of(const PublicKey& root) {
  return [root](std::string_view text) -> Result<CertifiedKey> {
    BAVN_TRY(const auto s, tenants::read_statement(text, root));
    return CertifiedKey{s.hub_key, s.epoch, s.not_before, s.not_after};
  };
}

struct NodeBeacon::Inner : std::enable_shared_from_this<NodeBeacon::Inner> {
  Inner(Runtime& r, store::State& s, net::Client& c, Metrics& m, NodeOptions o)
      : runtime(r),
        state(s),
        metrics(m),
        options(std::move(o)),
        left(s),
        client(left.recording(c, "beacon")),
        spool(r, s, options.spool) {}

  Runtime& runtime;
  store::State& state;
  Metrics& metrics;
  const NodeOptions options;
  LeftUs left;
  std::unique_ptr<net::Client> client;
  Spool spool;
  std::map<std::string, OnEntry, std::less<>> handlers;
  OnEntry other_handler;
  OnBase base_handler;
  QueueId queue{}, files{};
  std::string host;
  std::atomic<bool> stopped{true};
  Guarded<NodeStatus> status;

  // On queue.
  std::unique_ptr<Follower> follower;
  std::shared_ptr<net::OpenStream> stream;
  std::uint64_t generation = 0;  // of the stream; words of an older one are not heard
  bool sending = false;
  unsigned up_failures = 0;
  Duration send_not_before{0};
  struct Clock {
    Instant hub;      // the hub's clock ...
    Duration steady;  // ... at this moment of ours
    Duration round_trip;
  };
  std::optional<Clock> clock;
  Duration next_ping{0}, next_witness{0};
  bool pinging = false;
  std::vector<std::move_only_function<void(Result<void>)>> after_ping;
  std::optional<Witness> witness_for_hub;

  void later(Duration delay, QueueId on, std::move_only_function<void(Inner&)> f) {
    runtime.after(delay, on, [weak = weak_from_this(), f = std::move(f)]() mutable {
      if (const auto self = weak.lock(); self && !self->stopped) f(*self);
    });
  }
  void post(std::move_only_function<void(Inner&)> f) { later(Duration{0}, queue, std::move(f)); }

  std::optional<Duration> offset() const {
    if (!clock) return std::nullopt;
    return runtime.now() - (clock->hub + (runtime.steady() - clock->steady));
  }
  /// Calls f on the follower and does what it asks for.
  template <class F>
  void follow(F&& f) {
    if (const auto o = offset()) follower->on_offset(*o);
    f(*follower);
    for (auto actions = follower->take(); !actions.empty(); actions = follower->take())
      for (auto& action : actions) std::visit([this](auto& a) { this->act(a); }, action);
    status.with([&](NodeStatus& s) { s.down = follower->status(); });
  }
  MunicipalityId own() const {
    return options.municipalities.empty() ? MunicipalityId{} : options.municipalities.front();
  }
  net::ClientRequest request(net::Method method, std::string_view target) const {
    net::ClientRequest r;
    r.method = method;
    r.url = options.hub + std::string(target);
    if (options.tls) r.tls = options.tls();
    return r;
  }

  // Down.
  void act(Connect& a);
  void act(Disconnect&);
  void act(Fetch& a);
  void act(Apply& a);
  void act(KeepFork& a);
  void act(ForgetFork& a);
  void act(KeepEpoch& a);
  void act(WriteBase& a);
  void act(FindBase& a);
  void act(FinishBase& a);
  void open_stream(const Connect& a, std::uint64_t of);
  Result<void> apply(store::Tx& tx, const std::vector<Step>& steps, std::vector<std::string>& old_files);
  Result<void> hand_over(store::Tx& tx, const Step& step, std::string_view kind, std::string_view payload,
                         std::uint32_t item);
  Result<void> apply_base(store::Tx& tx, const Step& step, std::vector<std::string>& old_files);
  std::string base_path(const FileRef& ref, std::string_view suffix) const {
    return options.folder + "/" + to_hex(view(ref.hash)) + std::string(suffix);
  }
  Result<Follower::Found> find_base(const FileRef& ref);
  Result<Follower::Found> finish_base(const FileRef& ref);

  // Up.
  void tick();
  void ping(std::move_only_function<void(Result<void>)> then);
  void on_pong(Instant sent, Duration started, Result<net::ClientReply> reply);
  Result<void> take_pong(Instant sent, Duration started, const Result<net::ClientReply>& reply);
  void take_witness(const Pong& pong);
  void send_next();
  void post_batch(const Batch& batch);
  void on_answer(const Batch& batch, Result<net::ClientReply> reply);
  void up_trouble(std::string text, std::int64_t wait_seconds);
  void settle(std::move_only_function<Result<void>(store::Tx&)> unit);
};

// ---- the public face

NodeBeacon::NodeBeacon(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
NodeBeacon::~NodeBeacon() {
  inner_->stopped = true;
}

Result<std::unique_ptr<NodeBeacon>> NodeBeacon::open(Runtime& runtime, store::State& state, net::Client& client,
                                                     Metrics& metrics, NodeOptions options) {
  BAVN_TRY(const auto url, net::parse_url(options.hub));
  if (!options.check) return fail(Code::bad_input, "the beacon needs to know the root key it was enrolled with");
  BAVN_CHECK(runtime.files().make_dirs(options.folder));
  BAVN_TRY(auto saved, state.read([](store::Reader& r) { return load(r); }));
  auto inner = std::make_shared<Inner>(runtime, state, client, metrics, std::move(options));
  inner->host = url.host_and_port();
  inner->queue = runtime.queue({.name = "beacon", .limit = 100'000});
  inner->files = runtime.queue({.name = "beacon-files"});
  FollowerOptions follow;
  follow.municipalities = inner->options.municipalities;
  follow.check = inner->options.check;
  follow.known_hash = [&state](std::string_view stream, std::uint64_t seq) -> std::optional<Hash> {
    const auto row = state.read([&](store::Reader& r) {
      return r.one<store::Blob>("SELECT hash FROM beacon_applied WHERE stream = :s AND seq = :q",
                                {{"s", stream}, {"q", seq}});
    });
    if (!row || !*row) return std::nullopt;
    const auto hash = hash_from((*row)->bytes);
    return hash ? std::optional(*hash) : std::nullopt;
  };
  inner->follower = std::make_unique<Follower>(std::move(follow), std::move(saved),
                                               [&runtime](std::uint64_t below) { return runtime.random_below(below); });
  inner->status.with([&](NodeStatus& s) { s.down = inner->follower->status(); });
  return std::unique_ptr<NodeBeacon>(new NodeBeacon(std::move(inner)));
}

void NodeBeacon::on_entry(std::string kind, OnEntry handler) {
  inner_->handlers.insert_or_assign(std::move(kind), std::move(handler));
}
void NodeBeacon::on_other_entry(OnEntry handler) {
  inner_->other_handler = std::move(handler);
}
void NodeBeacon::on_base(OnBase handler) {
  inner_->base_handler = std::move(handler);
}
Spool& NodeBeacon::spool() {
  return inner_->spool;
}
LeftUs& NodeBeacon::left_us() {
  return inner_->left;
}

void NodeBeacon::start() {
  if (!inner_->stopped.exchange(false)) return;
  inner_->post([](Inner& self) {
    self.follow([&](Follower& f) { f.start(self.runtime.now()); });
    self.tick();
  });
}

void NodeBeacon::stop() {
  if (inner_->stopped.exchange(true)) return;
  inner_->runtime.after(Duration{0}, inner_->queue, [weak = std::weak_ptr(inner_)] {
    if (const auto self = weak.lock()) {
      self->follower->stop();
      (void)self->follower->take();
      if (self->stream) self->stream->close();
      self->stream.reset();
      ++self->generation;
    }
  });
}

Result<void> NodeBeacon::report(store::Tx& tx, std::string_view kind, std::string_view json,
                                MunicipalityId municipality, event::Tlp tlp) {
  BAVN_CHECK(inner_->spool.report(tx, kind, json, municipality, tlp));
  inner_->later(kSoon, inner_->queue, [](Inner& self) { self.send_next(); });
  return {};
}

NodeStatus NodeBeacon::status() const {
  NodeStatus out = inner_->status.with([](const NodeStatus& s) { return s; });
  out.up = inner_->spool.state();
  return out;
}

void NodeBeacon::settle_fork(std::string who, std::move_only_function<void(Result<void>)> then) {
  inner_->state.write(
      [who = std::move(who)](store::Tx& tx) { return tx.audit({who, "fork_settled", "hub", "{}"}); },
      [weak = std::weak_ptr(inner_), then = std::move(then)](Result<void> noted) mutable {
        if (const auto self = weak.lock(); self && noted)
          self->post([](Inner& again) { again.follow([&](Follower& f) { f.settle_fork(again.runtime.now()); }); });
        if (then) then(std::move(noted));
      });
}

// ---- down

void NodeBeacon::Inner::act(Connect& a) {
  const std::uint64_t of = ++generation;
  later(a.after, queue, [a, of](Inner& self) {
    if (of != self.generation) return;
    // Without knowing the hub's time, dates of entries cannot be judged; so it is asked for first.
    self.ping([weak = self.weak_from_this(), a, of](Result<void> pinged) {
      const auto again = weak.lock();
      if (!again || again->stopped || of != again->generation) return;
      if (pinged) return again->open_stream(a, of);
      again->follow([&](Follower& f) { f.on_end(again->runtime.now(), pinged.error()); });
    });
  });
}

void NodeBeacon::Inner::open_stream(const Connect& a, std::uint64_t of) {
  auto r = request(net::Method::get, "/beacon/v1/stream?have=" + a.have);
  r.headers.set("Accept", "text/event-stream");
  r.headers.set("Last-Event-ID", a.last_event_id);
  r.timeout = std::chrono::duration_cast<std::chrono::seconds>(options.stream_silent);
  r.max_reply = 1U << 20U;
  const auto weak = weak_from_this();
  stream = client->stream(std::move(r), queue,
                          {.on_open = [] {},
                           .on_event =
                               [weak, of](net::SseEvent event) {
                                 const auto self = weak.lock();
                                 if (!self || self->stopped || of != self->generation) return;
                                 self->follow([&](Follower& f) { f.on_event(self->runtime.now(), event); });
                               },
                           .on_end =
                               [weak, of](Error error) {
                                 const auto self = weak.lock();
                                 if (!self || self->stopped) return;
                                 // Its line may fail on the writer's thread.
                                 self->post([of, error = std::move(error)](Inner& i) {
                                   if (of != i.generation) return;
                                   i.follow([&](Follower& f) { f.on_end(i.runtime.now(), error); });
                                 });
                               }});
}

void NodeBeacon::Inner::act(Disconnect&) {
  ++generation;
  if (stream) stream->close();
  stream.reset();
}

void NodeBeacon::Inner::act(Fetch& a) {
  later(a.after, queue, [a](Inner& self) {
    auto r = self.request(net::Method::get, a.path);
    r.headers.set("Range", fmt::format("bytes={}-{}", a.from, a.from + std::max<std::uint64_t>(a.length, 1) - 1));
    r.timeout = std::chrono::seconds{60};
    self.client->send(std::move(r), self.queue,
                      [weak = self.weak_from_this(), id = a.id](Result<net::ClientReply> reply) mutable {
                        if (const auto i = weak.lock(); i && !i->stopped)
                          i->post([id, reply = std::move(reply)](Inner& again) mutable {
                            again.follow([&](Follower& f) { f.on_part(again.runtime.now(), id, std::move(reply)); });
                          });
                      });
  });
}

void NodeBeacon::Inner::act(Apply& a) {
  auto steps = std::make_shared<const std::vector<Step>>(std::move(a.steps));
  auto old_files = std::make_shared<std::vector<std::string>>();
  state.write(
      [weak = weak_from_this(), steps, old_files](store::Tx& tx) -> Result<void> {
        const auto self = weak.lock();
        if (!self || self->stopped) return fail(Code::unavailable, "this node is stopping");
        old_files->clear();
        return self->apply(tx, *steps, *old_files);
      },
      [weak = weak_from_this(), steps, old_files](Result<void> written) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([written = std::move(written), old_files](Inner& i) {
          if (written)
            for (const auto& file : *old_files) (void)i.runtime.files().unlink(file);
          else log::counted(i.metrics, log::Level::warn, "beacon_apply_failed", {{"reason", written.error().what}});
          i.follow([&](Follower& f) { f.on_applied(i.runtime.now(), written); });
        });
      });
}

Result<void> NodeBeacon::Inner::hand_over(store::Tx& tx, const Step& step, std::string_view kind,
                                          std::string_view payload, std::uint32_t item) {
  const Head& head = step.entry.head;
  const auto handler = handlers.find(kind);
  const OnEntry& on = handler != handlers.end() ? handler->second : other_handler;
  Result<void> taken;
  if (on) {
    BAVN_CHECK(tx.exec("SAVEPOINT beacon_entry"));
    taken = on(tx, Received{head.stream, kind, payload, head.epoch, head.seq, item, head.not_before, head.not_after});
    if (!taken) BAVN_CHECK(tx.exec("ROLLBACK TO beacon_entry"));
    BAVN_CHECK(tx.exec("RELEASE beacon_entry"));
    if (taken) return {};
    if (!for_good(taken.error().code)) return taken;
  } else {
    taken = fail(Code::bad_input,
                 fmt::format("this node does not know what to do with kind {}: it is older than its hub", kind));
  }
  log::counted(metrics, log::Level::warn, "beacon_entry_refused",
               {{"stream", head.stream}, {"seq", head.seq}, {"kind", kind}, {"reason", taken.error().what}});
  BAVN_CHECK(keep_evidence(tx, step.entry, taken.error().what));
  std::string body;
  JsonWriter w(body);
  w.object()
      .member("stream", head.stream)
      .member("seq", head.seq)
      .member("item", static_cast<std::uint64_t>(item))
      .member("kind", kind);
  w.member("why", taken.error().what).end();
  return spool.report(tx, "refused_entry", body, own(), event::Tlp::amber);
}

Result<void> NodeBeacon::Inner::apply_base(store::Tx& tx, const Step& step, std::vector<std::string>& old_files) {
  const std::string audience(audience_of(step.entry.head.stream));
  BAVN_TRY(const auto before,
           tx.one<BaseRow>("SELECT file, previous_file FROM beacon_base WHERE audience = :a", {{"a", audience}}));
  if (base_handler) BAVN_CHECK(base_handler(tx, NewBase{audience, step.file, step.base.covers_seq}));
  if (step.jump)
    for (std::uint32_t i = 0; i < step.items.size(); ++i)
      BAVN_CHECK(hand_over(tx, step, step.items[i].kind, step.items[i].payload, i));
  const std::string previous = before && before->file != step.file ? before->file : before ? before->previous_file : "";
  BAVN_CHECK(tx.exec(
      "INSERT INTO beacon_base (audience, seq, file, previous_file, covers_seq) VALUES (:a, :q, :f, :p, :c) ON "
      "CONFLICT (audience) "
      "DO UPDATE SET seq = excluded.seq, file = excluded.file, previous_file = excluded.previous_file, covers_seq = "
      "excluded.covers_seq",
      {{"a", audience}, {"q", step.entry.head.seq}, {"f", step.file}, {"p", previous}, {"c", step.base.covers_seq}}));
  if (before && !before->previous_file.empty() && before->previous_file != previous &&
      before->previous_file != step.file && parent_of(before->previous_file) == options.folder) {
    BAVN_TRY(const auto used, tx.number("SELECT count(*) FROM beacon_base WHERE file = :f OR previous_file = :f",
                                        {{"f", before->previous_file}}));
    if (used == 0) old_files.push_back(before->previous_file);
  }
  if (step.jump && step.base.covers_seq > 0)
    BAVN_CHECK(
        keep_cursor(tx, "bulk/" + audience, {step.base.covers_epoch, step.base.covers_seq, step.base.covers_hash}));
  return {};
}

Result<void> NodeBeacon::Inner::apply(store::Tx& tx, const std::vector<Step>& steps,
                                      std::vector<std::string>& old_files) {
  std::uint64_t urgent = 0, bulk = 0;
  for (const auto& step : steps) {
    switch (step.what) {
      case Step::What::evidence: BAVN_CHECK(keep_evidence(tx, step.entry, step.why)); continue;
      case Step::What::entry: BAVN_CHECK(hand_over(tx, step, step.entry.kind, step.entry.payload, 0)); break;
      case Step::What::segment:
        for (std::uint32_t i = 0; i < step.items.size(); ++i)
          BAVN_CHECK(hand_over(tx, step, step.items[i].kind, step.items[i].payload, i));
        break;
      case Step::What::base: BAVN_CHECK(apply_base(tx, step, old_files)); break;
      case Step::What::skip:
        if (!step.why.empty()) BAVN_CHECK(keep_evidence(tx, step.entry, step.why));
        break;
    }
    BAVN_CHECK(keep_head(tx, step.entry));
    urgent = std::max(urgent, step.position.urgent);
    bulk = std::max(bulk, step.position.bulk);
  }
  BAVN_CHECK(
      tx.exec("UPDATE beacon_follow SET urgent = max(urgent, :u), bulk = max(bulk, :b)", {{"u", urgent}, {"b", bulk}}));
  return {};
}

/// Writes until it is written: a fork and an epoch are not forgotten for a full disk.
void NodeBeacon::Inner::settle(std::move_only_function<Result<void>(store::Tx&)> unit) {
  auto shared = std::make_shared<std::move_only_function<Result<void>(store::Tx&)>>(std::move(unit));
  state.write(
      [shared](store::Tx& tx) { return (*shared)(tx); },
      [weak = weak_from_this(), shared](Result<void> written) {
        const auto self = weak.lock();
        if (written || !self) return;
        log::counted(self->metrics, log::Level::error, "beacon_state_not_written", {{"reason", written.error().what}});
        self->later(std::chrono::seconds{5}, self->queue,
                    [shared](Inner& again) { again.settle([shared](store::Tx& tx) { return (*shared)(tx); }); });
      });
}

void NodeBeacon::Inner::act(KeepFork& a) {
  log::counted(metrics, log::Level::error, "beacon_fork",
               {{"stream", a.fork.stream}, {"seq", a.fork.seq}, {"reason", a.fork.why}});
  settle([weak = weak_from_this(), fork = a.fork](store::Tx& tx) mutable -> Result<void> {
    const auto self = weak.lock();
    if (!self) return {};
    if (fork.known.empty()) {
      BAVN_TRY(const auto row,
               tx.one<HeadRow>("SELECT head, signature FROM beacon_applied WHERE stream = :s AND seq = :q",
                               {{"s", fork.stream}, {"q", fork.seq}}));
      if (row) fork.known = row->head.bytes + row->signature.bytes;
    }
    BAVN_CHECK(tx.exec(
        "UPDATE beacon_follow SET fork_stream = :s, fork_seq = :q, fork_known = :k, fork_offered = :o, fork_why = :w",
        {{"s", fork.stream},
         {"q", fork.seq},
         {"k", store::Blob{fork.known}},
         {"o", store::Blob{fork.offered}},
         {"w", fork.why}}));
    std::string body;
    JsonWriter w(body);
    w.object()
        .member("stream", fork.stream)
        .member("seq", fork.seq)
        .member("why", fork.why)
        .member("known", to_base64(fork.known));
    w.member("offered", to_base64(fork.offered)).end();
    BAVN_CHECK(tx.audit({"beacon", "fork", fork.stream, fmt::format(R"({{"seq":{}}})", fork.seq)}));
    BAVN_CHECK(tx.emit("beacon.fork", fork.stream, fmt::format(R"({{"seq":{}}})", fork.seq), self->own()));
    return self->spool.report(tx, "fork", body, self->own(), event::Tlp::amber);
  });
}

void NodeBeacon::Inner::act(ForgetFork& a) {
  settle([a](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(
        tx.exec("UPDATE beacon_follow SET fork_stream = '', fork_seq = 0, fork_known = x'', fork_offered = x'', "
                "fork_why = ''"));
    BAVN_CHECK(tx.exec("DELETE FROM beacon_applied WHERE stream = :s AND seq > :q",
                       {{"s", a.stream}, {"q", a.cursor ? a.cursor->seq : 0}}));
    if (a.cursor) return keep_cursor(tx, a.stream, *a.cursor);
    BAVN_CHECK(tx.exec("DELETE FROM beacon_cursor WHERE stream = :s", {{"s", a.stream}}));
    return {};
  });
}

void NodeBeacon::Inner::act(KeepEpoch& a) {
  settle([epoch = a.epoch](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE beacon_follow SET epoch = max(epoch, :e)", {{"e", epoch}}));
    return {};
  });
}

// ---- the base file

void NodeBeacon::Inner::act(WriteBase& a) {
  later(Duration{0}, files, [a = std::move(a)](Inner& self) {
    const auto write = [&]() -> Result<void> {
      BAVN_TRY(const auto file, self.runtime.files().open(self.base_path(a.base.file, ".part"), OpenMode::create));
      if (a.from == 0) BAVN_CHECK(file->truncate(0));
      return file->pwrite(a.from, a.bytes);
    };
    self.post([id = a.id, written = write()](Inner& i) {
      i.follow([&](Follower& f) { f.on_written(i.runtime.now(), id, written); });
    });
  });
}

Result<Follower::Found> NodeBeacon::Inner::find_base(const FileRef& ref) {
  auto folders = options.shared_bases;
  folders.push_back(options.folder);
  for (const auto& folder : folders) {
    const std::string name = folder + "/" + to_hex(view(ref.hash)) + ".base";
    if (!runtime.files().exists(name)) continue;
    const auto mapped = runtime.files().map(name);
    if (mapped && (*mapped)->bytes().size() == ref.size && hash_of((*mapped)->bytes()) == ref.hash)
      return Follower::Found{name, 0};
    log::counted(metrics, log::Level::warn, "beacon_base_damaged", {{"file", name}});
  }
  Follower::Found found;
  if (const auto part = runtime.files().open(base_path(ref, ".part"), OpenMode::read))
    found.partial = (*part)->size().value_or(0);
  return found;
}

Result<Follower::Found> NodeBeacon::Inner::finish_base(const FileRef& ref) {
  Files& disk = runtime.files();
  const std::string part = base_path(ref, ".part"), whole = base_path(ref, ".base");
  {
    BAVN_TRY(const auto file, disk.open(part, OpenMode::create));
    BAVN_CHECK(file->truncate(ref.size));
    BAVN_CHECK(file->sync());
  }
  bool right = ref.size == 0 && ref.hash == hash_of(std::string_view{});
  if (ref.size > 0) {
    BAVN_TRY(const auto mapped, disk.map(part));
    right = hash_of(mapped->bytes()) == ref.hash;
  }
  if (!right) {
    BAVN_CHECK(disk.unlink(part));
    return fail(Code::corrupt, "the indicator base that came is not the one the hub signed: it is fetched again");
  }
  BAVN_CHECK(disk.rename(part, whole));
  BAVN_CHECK(disk.sync_dir(options.folder));
  return Follower::Found{whole, 0};
}

void NodeBeacon::Inner::act(FindBase& a) {
  later(Duration{0}, files, [a](Inner& self) {
    self.post([id = a.id, found = self.find_base(a.base.file)](Inner& i) {
      i.follow([&](Follower& f) { f.on_base_found(i.runtime.now(), id, found); });
    });
  });
}

void NodeBeacon::Inner::act(FinishBase& a) {
  later(Duration{0}, files, [a](Inner& self) {
    self.post([id = a.id, found = self.finish_base(a.base.file)](Inner& i) {
      i.follow([&](Follower& f) { f.on_base_found(i.runtime.now(), id, found); });
    });
  });
}

// ---- clock and witnessing

void NodeBeacon::Inner::tick() {
  follow([&](Follower& f) { f.on_tick(runtime.now()); });
  if (runtime.steady() >= next_ping) ping({});
  send_next();
  later(options.tick, queue, [](Inner& self) { self.tick(); });
}

void NodeBeacon::Inner::ping(std::move_only_function<void(Result<void>)> then) {
  if (then) after_ping.push_back(std::move(then));
  if (std::exchange(pinging, true)) return;
  next_ping = runtime.steady() + options.ping_every;
  Ping p;
  p.sent = runtime.now();
  if (const auto o = offset()) p.offset_us = o->count();
  if (clock) p.round_trip_us = clock->round_trip.count();
  p.version = options.version;
  p.trouble = follower->status().text;
  if (options.witness && options.audit_head && runtime.steady() >= next_witness) {
    const auto head = state.read([&](store::Reader& r) { return options.audit_head(r); });
    if (head) {
      p.key = options.witness->public_key().text();
      p.audit = *head;
      p.witness = witness_for_hub;
      next_witness = runtime.steady() + options.witness_every;
    } else {
      log::counted(metrics, log::Level::error, "beacon_audit_unreadable", {{"reason", head.error().what}});
    }
  }
  auto r = request(net::Method::post, "/beacon/v1/ping");
  r.headers.set("Content-Type", "application/json");
  r.body = write_ping(p);
  client->send(
      std::move(r), queue,
      [weak = weak_from_this(), sent = p.sent, started = runtime.steady()](Result<net::ClientReply> reply) mutable {
        if (const auto self = weak.lock(); self && !self->stopped)
          self->post([sent, started, ended = self->runtime.steady(), reply = std::move(reply)](Inner& i) mutable {
            i.on_pong(sent, started, std::move(reply));
          });
      });
}

void NodeBeacon::Inner::on_pong(Instant sent, Duration started, Result<net::ClientReply> reply) {
  pinging = false;
  const auto taken = take_pong(sent, started, reply);
  for (auto& f : std::exchange(after_ping, {})) f(taken);
}

Result<void> NodeBeacon::Inner::take_pong(Instant sent, Duration started, const Result<net::ClientReply>& reply) {
  if (!reply) return std::unexpected(reply.error());
  if (reply->status == 401 || reply->status == 403)
    return fail(Code::forbidden, fmt::format("the hub answered {}", reply->status));
  if (reply->status != 200)
    return fail(Code::unavailable, fmt::format("the hub answered a ping with status {}", reply->status));
  const auto pong = read_pong(reply->body);
  if (!pong) return fail(Code::unavailable, "what answers a ping is not a hub: " + pong.error().what);
  const Duration round_trip = runtime.steady() - started - (pong->sent - pong->received);
  // The way there and the way back are taken as equally long.
  clock = Clock{pong->sent + round_trip / 2, runtime.steady(), std::max(round_trip, Duration{0})};
  const Duration off = *offset();
  (void)sent;
  const bool wrong = clock_is_wrong(off.count(), clock->round_trip.count());
  const bool was = status.with([&](NodeStatus& s) {
    s.clock_offset = off;
    s.round_trip = clock->round_trip;
    s.last_ping = runtime.now();
    return std::exchange(s.clock_marked, wrong);
  });
  if (wrong != was) {
    log::counted(metrics, wrong ? log::Level::error : log::Level::info, wrong ? "clock_wrong" : "clock_right_again",
                 {{"offset_us", off.count()}});
    std::string body;
    JsonWriter w(body);
    w.object()
        .member("offset_us", off.count())
        .member("round_trip_us", clock->round_trip.count())
        .member("wrong", wrong)
        .end();
    state.write([weak = weak_from_this(), body, wrong](store::Tx& tx) -> Result<void> {
      const auto self = weak.lock();
      if (!self) return {};
      BAVN_CHECK(tx.emit(wrong ? "beacon.clock_wrong" : "beacon.clock_right", "clock", body, self->own()));
      return self->spool.report(tx, "clock", body, self->own(), event::Tlp::amber);
    });
  }
  if (!pong->trouble.empty()) log::counted(metrics, log::Level::error, "beacon_hub_says", {{"trouble", pong->trouble}});
  take_witness(*pong);
  return {};
}

/// The hub's signature on our head, and its own head, which we sign at the next occasion.
void NodeBeacon::Inner::take_witness(const Pong& pong) {
  if (!options.witness || (!pong.witness && !pong.audit)) return;
  std::optional<Witness> own_signature;
  if (pong.audit) {
    own_signature = Witness{*pong.audit, runtime.now(), {}};
    own_signature->signature = sign_witness(*options.witness, {"hub", own_signature->head, own_signature->at});
  }
  auto rewritten = std::make_shared<bool>(false);
  state.write(
      [theirs = pong.witness, ours = own_signature, rewritten](store::Tx& tx) -> Result<void> {
        if (theirs) BAVN_CHECK(keep_witness(tx, "self", "hub", *theirs));
        if (!ours) return {};
        BAVN_TRY(*rewritten, contradicts(tx, "hub", ours->head));
        if (*rewritten) {
          BAVN_CHECK(tx.audit({"beacon", "audit_rewritten", "hub", fmt::format(R"({{"seq":{}}})", ours->head.seq)}));
          return tx.emit("beacon.audit_rewritten", "hub");
        }
        return keep_witness(tx, "hub", "self", *ours);
      },
      [weak = weak_from_this(), ours = own_signature, rewritten](Result<void> written) {
        const auto self = weak.lock();
        if (!self || !written) return;
        if (*rewritten)
          log::counted(self->metrics, log::Level::error, "beacon_audit_rewritten",
                       {{"whose", "hub"}, {"seq", ours->head.seq}});
        else if (ours) self->post([ours](Inner& i) { i.witness_for_hub = ours; });
      });
}

// ---- up

void NodeBeacon::Inner::up_trouble(std::string text, std::int64_t wait_seconds) {
  const auto most = std::min<std::int64_t>(60'000'000, 1'000'000LL << std::min(up_failures++, 12U));
  const auto wait = std::max<std::int64_t>(
      wait_seconds * 1'000'000,
      250'000 + static_cast<std::int64_t>(runtime.random_below(static_cast<std::uint64_t>(most))));
  send_not_before = runtime.steady() + Duration{wait};
  log::counted(metrics, log::Level::warn, "beacon_reports_wait", {{"reason", text}});
  status.with([&](NodeStatus& s) { s.up_trouble = std::move(text); });
  sending = false;
}

void NodeBeacon::Inner::send_next() {
  if (sending || runtime.steady() < send_not_before) return;
  const auto waiting = state.read([](store::Reader& r) { return r.number("SELECT waiting FROM spool_mark"); });
  if (!waiting || *waiting == 0) return;
  sending = true;
  auto batch = std::make_shared<std::optional<Batch>>();
  state.write(
      [weak = weak_from_this(), batch](store::Tx& tx) -> Result<void> {
        const auto self = weak.lock();
        if (!self || self->stopped) return fail(Code::unavailable, "this node is stopping");
        BAVN_TRY(*batch, self->spool.next(tx, self->host));
        return {};
      },
      [weak = weak_from_this(), batch](Result<void> written) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([written = std::move(written), batch](Inner& i) {
          if (!written)
            return i.up_trouble("What is to be sent could not be noted, so it was not sent: " + written.error().what,
                                0);
          i.sending = batch->has_value();
          if (*batch) i.post_batch(**batch);
        });
      });
}

void NodeBeacon::Inner::post_batch(const Batch& batch) {
  auto r = request(net::Method::post, "/beacon/v1/reports");
  r.headers.set("Content-Type", "application/json");
  r.body = batch.body;
  r.timeout = std::chrono::seconds{60};
  client->send(std::move(r), queue,
               [weak = weak_from_this(), id = batch.id, items = batch.items](Result<net::ClientReply> reply) mutable {
                 if (const auto self = weak.lock(); self && !self->stopped)
                   self->post([id, items, reply = std::move(reply)](Inner& i) mutable {
                     i.on_answer({id, {}, items}, std::move(reply));
                   });
               });
}

void NodeBeacon::Inner::on_answer(const Batch& batch, Result<net::ClientReply> reply) {
  if (!reply) return up_trouble("The hub cannot be reached: " + reply.error().what, 0);
  std::move_only_function<Result<void>(store::Tx&)> unit;
  if (reply->status == 200) {
    auto answer = read_answer(reply->body);
    if (!answer || answer->batch != batch.id)
      return up_trouble("What answers is not the hub: " + (answer ? "it speaks of another batch" : answer.error().what),
                        retry_after(*reply));
    if (const auto& refused = answer->refused; !refused.empty()) {
      metrics.counter("beacon_reports_refused").add(refused.size());
      log::warn("beacon_reports_refused",
                {{"items", refused.size()}, {"first", refused.front().id}, {"reason", refused.front().reason}});
    }
    unit = [this, id = batch.id, refused = std::move(answer->refused)](store::Tx& tx) {
      return spool.acknowledged(tx, id, refused);
    };
  } else if ((reply->status == 400 || reply->status == 413 || reply->status == 422) && is_problem(*reply)) {
    const auto problem = reply->body.substr(0, 500);
    log::counted(metrics, log::Level::warn, "beacon_batch_split", {{"batch", batch.id}, {"reason", problem}});
    unit = [this, id = batch.id, problem](store::Tx& tx) { return spool.split(tx, id, problem); };
  } else if (reply->status == 403 || reply->status == 401) {
    return up_trouble(fmt::format("The hub refuses this node's certificate ({})", reply->status), retry_after(*reply));
  } else {
    return up_trouble(fmt::format("The hub answered {}{}", reply->status,
                                  reply->status == 429 || reply->status == 503 ? ": it asks to wait" : ""),
                      retry_after(*reply));
  }
  auto shared = std::make_shared<decltype(unit)>(std::move(unit));
  state.write(
      [weak = weak_from_this(), shared](store::Tx& tx) -> Result<void> {
        const auto self = weak.lock();
        if (!self || self->stopped) return fail(Code::unavailable, "this node is stopping");
        return (*shared)(tx);
      },
      [weak = weak_from_this()](Result<void> written) {
        const auto self = weak.lock();
        if (!self) return;
        self->post([written = std::move(written)](Inner& i) {
          if (!written)
            return i.up_trouble(
                "The hub has it, but that could not be noted here; it is sent again: " + written.error().what, 0);
          i.up_failures = 0;
          i.sending = false;
          i.status.with([&](NodeStatus& s) {
            s.up_trouble.clear();
            s.last_acknowledged = i.runtime.now();
          });
          i.send_next();
        });
      });
}

}  // namespace bavn::beacon
