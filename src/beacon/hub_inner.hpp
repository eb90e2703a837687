#pragma once
// The hub's end inside: what its three sources share. Not for other modules.
// Thread rules: publish_* inside a Tx (the writer's thread) and without other state; streams_ on queue_; the rest says so.
#include <atomic>
#include <boost/describe/class.hpp>
#include <map>
#include <set>

#include "base/guarded.hpp"
#include "beacon/hub.hpp"
#include "beacon/reports.hpp"

namespace bavn::beacon {

struct TipRow {
  std::int64_t epoch = 0, seq = 0;
  store::Blob hash;
};
BOOST_DESCRIBE_STRUCT(TipRow, (), (epoch, seq, hash))

struct EntryRow {
  std::int64_t position = 0;
  std::string stream;
  std::int64_t seq = 0;
  store::Blob entry;
};
BOOST_DESCRIBE_STRUCT(EntryRow, (), (position, stream, seq, entry))

struct HubBeacon::Inner : std::enable_shared_from_this<HubBeacon::Inner> {
  Inner(Runtime& r, store::State& s, NodesOf& n, Metrics& m, HubKey k, HubOptions o)
      : runtime(r), state(s), nodes(n), metrics(m), key(std::move(k)), options(std::move(o)) {}

  Runtime& runtime;
  store::State& state;
  NodesOf& nodes;
  Metrics& metrics;
  const HubKey key;
  const HubOptions options;
  QueueId queue{};  // streams, ticks; one thread
  QueueId files{};  // builds and writes segments and bases; one thread
  std::map<std::string, OnReport, std::less<>> handlers;
  OnReport other_handler;
  ReadAuditHead audit_head;
  std::atomic<bool> stopped{false};

  /// f on `on`, unless this is gone by then.
  void post(QueueId on, std::move_only_function<void(Inner&)> f);
  void later(Duration delay, QueueId on, std::move_only_function<void(Inner&)> f);

  // hub.cpp
  struct File {
    std::string name, items;
  };
  Result<Published> append(store::Tx& tx, std::string_view lane, const std::string& stream, std::string kind,
                           std::string payload, Instant not_before, Instant not_after, const File& file = {});
  Result<Published> publish_urgent(store::Tx& tx, std::optional<MunicipalityId> to, const Post& post);
  Result<Published> publish_bulk(store::Tx& tx, std::string_view audience, const Post& post);
  Result<std::optional<Published>> posted(store::Tx& tx, const std::string& id);
  Result<void> take_over(store::Tx& tx);
  Result<void> on_domain_event(const store::DomainEvent& event);
  /// Everything that waits for this audience, segment by segment; then `then` with the tip. On `files`.
  void seal(std::string audience, std::move_only_function<void(Result<std::uint64_t>)> then);
  Result<FileRef> write_file(std::string_view bytes, std::string_view suffix);  // <hex of its hash><suffix>
  void publish_base(std::string audience, const std::string& file, const std::vector<Item>& items,
                    std::uint64_t covers_seq, std::move_only_function<void(Result<Published>)> then);
  void trim();
  std::set<std::string> seal_soon;  // on queue: audiences with a timer
  std::string path(std::string_view name) const { return options.folder + "/" + std::string(name); }

  // hub_streams.cpp, on queue
  struct Listener {
    std::shared_ptr<net::EventStream> stream;
    std::string serial, node;
    std::set<std::string, std::less<>> streams;
    std::map<std::string, std::uint64_t, std::less<>> sent;  // seq of each stream the node has, or was told
    std::uint64_t urgent = 0, bulk = 0;                      // positions up to which everything was looked at
    bool bases_sent = false, live = false, busy = false;
  };
  struct Row {
    std::string lane, stream, event;
    std::uint64_t position = 0, seq = 0;
    std::string data;  // base64 of the entry
  };
  std::map<std::uint64_t, Listener> listeners;
  std::uint64_t last_listener = 0;
  std::uint64_t live_urgent = 0, live_bulk = 0, live_base = 0;  // up to here every live listener was served
  Duration next_trim{0};
  std::atomic<std::size_t> open{0};
  Guarded<std::map<std::string, unsigned>> connected;  // node -> streams
  void attach(const net::Request& request, std::shared_ptr<net::EventStream> stream);
  void greet(std::uint64_t id, const std::optional<std::string>& have, std::string_view last_event_id);
  void feed(std::uint64_t id);
  bool send_rows(Listener& l, const std::vector<Row>& rows);
  void send_bases(Listener& l);
  void send_anchors(Listener& l);
  void pump();
  void drop(std::uint64_t id, std::string_view why);
  void cut(const std::string& serial);
  void tick();
  Result<std::vector<Row>> rows_behind(std::string_view lane, std::uint64_t position, unsigned limit) const;

  // hub_reports.cpp
  static constexpr std::size_t kSmallBatch = 64U << 10U;  // bytes of a body
  std::atomic<unsigned> reports_now{0}, small_reports_now{0};
  std::atomic<unsigned>& now_of(std::size_t bytes) { return bytes <= kSmallBatch ? small_reports_now : reports_now; }
  unsigned most_of(std::size_t bytes) const {
    return bytes <= kSmallBatch ? options.small_reports_at_once : options.reports_at_once;
  }
  void take_reports(net::Request request, net::Respond respond);
  void take_ping(net::Request request, net::Respond respond);
  Result<void> witness_with(store::Tx& tx, const NodeFacts& facts, const Ping& ping, Pong& answer);
  net::Reply file_reply(const net::Request& request, std::string_view lane, bool items);
};

/// "all" or one of the node's.
bool may_hear(const NodeFacts& facts, std::string_view audience);

}  // namespace bavn::beacon
