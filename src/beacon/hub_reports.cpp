// The reports up and the ping: what nodes send, checked item by item, effective once.
#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "beacon/hub_inner.hpp"
#include "beacon/reports.hpp"
#include "net/json_value.hpp"

namespace bavn::beacon {

namespace {

struct DayRow {
  std::int64_t items = 0, bytes = 0;
};
BOOST_DESCRIBE_STRUCT(DayRow, (), (items, bytes))

struct NodeKeyRow {
  std::string witness_key;
};
BOOST_DESCRIBE_STRUCT(NodeKeyRow, (), (witness_key))

net::Reply too_much(std::int64_t seconds, std::string_view why, int status) {
  auto reply = net::problem(status, status == 429 ? "Too many requests" : "Unavailable", why);
  reply.headers.set("Retry-After", std::to_string(seconds));
  return reply;
}

/// What one batch comes to.
struct Outcome {
  NodeFacts facts;
  ReportBatch batch;
  std::size_t bytes = 0;
  std::string answer;
  std::int64_t quota_seconds = 0;
};

std::string answer_of(const std::string& batch, std::int64_t accepted, std::int64_t duplicates,
                      const std::vector<std::pair<std::string, std::string>>& refused) {
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("batch", batch)
      .member("accepted", accepted)
      .member("duplicates", duplicates)
      .key("refused")
      .array();
  for (const auto& [id, reason] : refused) w.object().member("id", id).member("reason", reason).end();
  w.end().end();
  return out;
}

Result<void> within_quota(store::Tx& tx, const HubOptions& options, Outcome& o) {
  const std::int64_t day = micros(tx.now()) / 86'400'000'000;
  BAVN_TRY(const auto row, tx.one<DayRow>("SELECT items, bytes FROM beacon_day WHERE node = :n AND day = :d",
                                          {{"n", o.facts.node}, {"d", day}}));
  const DayRow used = row.value_or(DayRow{});
  const bool worthy = std::all_of(o.batch.items.begin(), o.batch.items.end(),
                                  [](const ReportItem& i) { return worth_of(i.kind) <= Worth::never_lost; });
  const std::uint64_t times = worthy ? 2 : 1;
  const auto items = static_cast<std::uint64_t>(used.items) + o.batch.items.size();
  const auto bytes = static_cast<std::uint64_t>(used.bytes) + o.bytes;
  if (items > options.items_a_day * times || bytes > options.bytes_a_day * times) {
    o.quota_seconds = std::clamp<std::int64_t>(((day + 1) * 86'400'000'000 - micros(tx.now())) / 1'000'000, 1, 3600);
    return fail(Code::unavailable, "this node has sent more today than a node may");
  }
  BAVN_CHECK(
      tx.exec("INSERT INTO beacon_day (node, day, items, bytes) VALUES (:n, :d, :i, :b) "
              "ON CONFLICT (node, day) DO UPDATE SET items = excluded.items, bytes = excluded.bytes",
              {{"n", o.facts.node}, {"d", day}, {"i", items}, {"b", bytes}}));
  return {};
}

Result<void> take_item(store::Tx& tx, HubBeacon::Inner& self, const Outcome& o, const ReportItem& item) {
  if (std::find(o.facts.municipalities.begin(), o.facts.municipalities.end(), item.municipality) ==
      o.facts.municipalities.end())
    return fail(Code::forbidden, fmt::format("municipality {} is not one of this node's", item.municipality.value));
  const auto handler = self.handlers.find(item.kind);
  const OnReport& on = handler != self.handlers.end() ? handler->second : self.other_handler;
  if (!on) return fail(Code::bad_input, "this hub does not take reports of kind " + item.kind);
  return on(tx, Report{o.facts.node, item.id, item.kind, item.municipality, item.tlp, item.at, item.body});
}

Result<void> take_batch(store::Tx& tx, HubBeacon::Inner& self, Outcome& o) {
  const auto before = tx.one<std::string>("SELECT answer FROM beacon_batch WHERE node = :n AND batch = :b",
                                          {{"n", o.facts.node}, {"b", o.batch.id}});
  BAVN_TRY(auto answered, before);
  if (answered) {
    o.answer = std::move(*answered);
    return {};
  }
  BAVN_CHECK(within_quota(tx, self.options, o));
  std::int64_t accepted = 0, duplicates = 0;
  std::vector<std::pair<std::string, std::string>> refused;
  for (const auto& item : o.batch.items) {
    BAVN_TRY(const auto known, tx.number("SELECT count(*) FROM beacon_item WHERE node = :n AND item = :i",
                                         {{"n", o.facts.node}, {"i", item.id}}));
    if (known > 0) {
      ++duplicates;
      continue;
    }
    BAVN_CHECK(tx.exec("SAVEPOINT report_item"));
    const auto taken = take_item(tx, self, o, item);
    if (!taken) {
      BAVN_CHECK(tx.exec("ROLLBACK TO report_item"));
      BAVN_CHECK(tx.exec("RELEASE report_item"));
      if (taken.error().code != Code::bad_input && taken.error().code != Code::forbidden) return taken;
      refused.emplace_back(item.id, taken.error().what);
      continue;
    }
    BAVN_CHECK(tx.exec("INSERT INTO beacon_item (node, item, at_us) VALUES (:n, :i, :at)",
                       {{"n", o.facts.node}, {"i", item.id}, {"at", tx.now()}}));
    BAVN_CHECK(tx.exec("RELEASE report_item"));
    ++accepted;
  }
  self.metrics.counter("beacon_items_accepted").add(static_cast<std::uint64_t>(accepted));
  self.metrics.counter("beacon_items_refused").add(refused.size());
  o.answer = answer_of(o.batch.id, accepted, duplicates, refused);
  BAVN_CHECK(tx.exec("INSERT INTO beacon_batch (node, batch, answer, at_us) VALUES (:n, :b, :a, :at)",
                     {{"n", o.facts.node}, {"b", o.batch.id}, {"a", o.answer}, {"at", tx.now()}}));
  BAVN_CHECK(
      tx.exec("INSERT INTO beacon_node (node, last_report_us) VALUES (:n, :at) "
              "ON CONFLICT (node) DO UPDATE SET last_report_us = excluded.last_report_us",
              {{"n", o.facts.node}, {"at", tx.now()}}));
  // One line a batch: a node that talks nonsense must not fill the log with it. Each item's reason is in its answer.
  if (!refused.empty())
    log::warn("beacon_items_refused", {{"node", o.facts.node},
                                       {"items", refused.size()},
                                       {"first", refused.front().first},
                                       {"reason", refused.front().second}});
  return {};
}

/// What a warning hangs on goes first, and is never so much that others wait for it: a flood of it is a flood like any other.
store::Lane lane_of(const ReportBatch& batch) {
  constexpr std::size_t kFew = 100;
  const bool urgent = batch.items.size() <= kFew && std::ranges::all_of(batch.items, [](const ReportItem& item) {
                        return worth_of(item.kind) == Worth::urgent;
                      });
  return urgent ? store::Lane::normal : store::Lane::bulk;
}

}  // namespace

void HubBeacon::Inner::take_reports(net::Request request, net::Respond respond) {
  const auto facts = nodes.by_certificate(request.peer.certificate_serial);
  if (!facts || facts->revoked)
    return respond(net::problem(403, "Forbidden", "this certificate is not a node's, or is revoked"));
  auto batch = read_batch(request.body);
  if (!batch) {
    log::counted(metrics, log::Level::warn, "beacon_batch_refused",
                 {{"node", facts->node}, {"reason", to_string(batch.error())}});
    return respond(net::problem(batch.error()));
  }
  std::atomic<unsigned>& now = now_of(request.body.size());
  if (now.fetch_add(1) >= most_of(request.body.size())) {
    --now;
    return respond(too_much(2, "the hub is busy with other reports", 503));
  }
  const store::Lane lane = lane_of(*batch);
  auto outcome = std::make_shared<Outcome>(Outcome{*facts, std::move(*batch), request.body.size(), {}, 0});
  state.write(
      [weak = weak_from_this(), outcome](store::Tx& tx) -> Result<void> {
        const auto self = weak.lock();
        if (!self || self->stopped) return fail(Code::unavailable, "the hub is stopping");
        return take_batch(tx, *self, *outcome);
      },
      [weak = weak_from_this(), outcome, respond = std::move(respond)](Result<void> written) mutable {
        if (const auto self = weak.lock()) --self->now_of(outcome->bytes);
        if (written) return respond(net::json(std::move(outcome->answer)));
        if (outcome->quota_seconds > 0) return respond(too_much(outcome->quota_seconds, written.error().what, 429));
        log::warn("beacon_batch_not_taken", {{"node", outcome->facts.node}, {"reason", written.error().what}});
        respond(too_much(5, written.error().what, 503));
      },
      lane);
}

// ---- ping: clocks and the heads of the audit logs

void HubBeacon::Inner::take_ping(net::Request request, net::Respond respond) {
  const Instant received = runtime.now();
  const auto facts = nodes.by_certificate(request.peer.certificate_serial);
  if (!facts || facts->revoked)
    return respond(net::problem(403, "Forbidden", "this certificate is not a node's, or is revoked"));
  auto ping = read_ping(request.body);
  if (!ping) return respond(net::problem(ping.error()));
  auto answer = std::make_shared<Pong>();
  state.write(
      [weak = weak_from_this(), ping = std::move(*ping), facts = *facts, received,
       answer](store::Tx& tx) -> Result<void> {
        const auto self = weak.lock();
        if (!self || self->stopped) return fail(Code::unavailable, "the hub is stopping");
        *answer = Pong{};
        answer->received = received;
        // Before the node has measured, the difference of the two clocks includes the way.
        const std::int64_t offset = ping.offset_us.value_or(micros(ping.sent) - micros(received));
        BAVN_CHECK(tx.exec(
            "INSERT INTO beacon_node (node, last_ping_us, offset_us, round_trip_us, version, trouble) "
            "VALUES (:n, :at, :o, :r, :v, :t) ON CONFLICT (node) DO UPDATE SET last_ping_us = excluded.last_ping_us, "
            "offset_us = excluded.offset_us, round_trip_us = excluded.round_trip_us, version = excluded.version, "
            "trouble = excluded.trouble",
            {{"n", facts.node},
             {"at", tx.now()},
             {"o", offset},
             {"r", ping.round_trip_us},
             {"v", ping.version},
             {"t", ping.trouble}}));
        return self->witness_with(tx, facts, ping, *answer);
      },
      [weak = weak_from_this(), answer, respond = std::move(respond)](Result<void> written) mutable {
        const auto self = weak.lock();
        if (!self) return respond(too_much(5, "the hub is stopping", 503));
        if (!written) return respond(too_much(5, written.error().what, 503));
        answer->sent = self->runtime.now();
        respond(net::json(write_pong(*answer)));
      });
}

Result<void> HubBeacon::Inner::witness_with(store::Tx& tx, const NodeFacts& facts, const Ping& ping, Pong& answer) {
  const std::string& node = facts.node;
  if (ping.key.empty()) return {};
  BAVN_TRY(const auto row, tx.one<NodeKeyRow>("SELECT witness_key FROM beacon_node WHERE node = :n", {{"n", node}}));
  const std::string pinned = !facts.witness_key.empty() ? facts.witness_key : row ? row->witness_key : "";
  if (pinned.empty()) {
    BAVN_CHECK(tx.exec("UPDATE beacon_node SET witness_key = :k WHERE node = :n", {{"k", ping.key}, {"n", node}}));
    BAVN_CHECK(tx.audit({"beacon", "witness_key_pinned", node, fmt::format(R"({{"key":"{}"}})", ping.key)}));
  } else if (pinned != ping.key) {
    log::counted(metrics, log::Level::error, "beacon_witness_key_changed", {{"node", node}});
    answer.trouble =
        "the hub has pinned another witness key of this node: its audit log is not witnessed until an operator allows "
        "the new one";
    return {};
  }
  BAVN_TRY(const auto key_of_node, PublicKey::parse(ping.key));
  if (ping.witness) {
    const Witness& w = *ping.witness;
    const bool right = is_witness(key_of_node, {"hub", w.head, w.at}, w.signature);
    if (right) BAVN_CHECK(keep_witness(tx, "self", node, w));
    if (!right) log::counted(metrics, log::Level::warn, "beacon_witness_refused", {{"node", node}});
  }
  if (ping.audit) {
    BAVN_TRY(const auto rewritten, contradicts(tx, node, *ping.audit));
    if (rewritten) {
      log::counted(metrics, log::Level::error, "beacon_audit_rewritten", {{"node", node}, {"seq", ping.audit->seq}});
      BAVN_CHECK(tx.audit({"beacon", "audit_rewritten", node, fmt::format(R"({{"seq":{}}})", ping.audit->seq)}));
      BAVN_CHECK(tx.emit("beacon.audit_rewritten", node));
      answer.trouble = "the hub has witnessed another head of this node's audit log: entries were changed or lost";
      return {};
    }
    Witness w{*ping.audit, tx.now(), {}};
    w.signature = sign_witness(*key.key, {node, w.head, w.at});
    BAVN_CHECK(keep_witness(tx, node, "hub", w));
    answer.witness = std::move(w);
  }
  if (audit_head) {
    BAVN_TRY(answer.audit, audit_head(tx));
  }
  return {};
}

// ---- files

net::Reply HubBeacon::Inner::file_reply(const net::Request& request, std::string_view lane, bool items) {
  const auto facts = nodes.by_certificate(request.peer.certificate_serial);
  if (!facts || facts->revoked)
    return net::problem(403, "Forbidden", "this certificate is not a node's, or is revoked");
  const auto audience = request.param("audience");
  if (!is_name(audience, 32) || !may_hear(*facts, audience))
    return net::problem(404, "Not found", "no such audience for this node");
  const std::string stream = fmt::format("{}/{}", lane, audience);
  const auto seq = request.params.find("seq");
  const auto row = state.read([&](store::Reader& r) -> Result<std::optional<std::string>> {
    const std::string_view column = items ? "items" : "file";
    if (seq == request.params.end())
      return r.one<std::string>(
          fmt::format("SELECT {} FROM beacon_entry WHERE stream = :s ORDER BY seq DESC LIMIT 1", column),
          {{"s", stream}});
    return r.one<std::string>(
        fmt::format("SELECT {} FROM beacon_entry WHERE stream = :s AND CAST(seq AS TEXT) = :q", column),
        {{"s", stream}, {"q", seq->second}});
  });
  if (!row) return net::problem(row.error());
  if (!*row || (*row)->empty() || !runtime.files().exists(path(**row)))
    return net::problem(404, "Not found", fmt::format("stream {} has no such file (any more)", stream));
  net::Reply reply;
  reply.headers.set("Content-Type", "application/octet-stream");
  reply.headers.set("ETag", "\"" + **row + "\"");
  reply.headers.set("Cache-Control", seq == request.params.end() ? "no-cache" : "private, immutable, max-age=31536000");
  reply.file = net::FileBody{path(**row)};
  return reply;
}

void HubBeacon::add_routes(net::Router& router) {
  const std::weak_ptr<Inner> weak = inner_;
  const auto gone = [] { return too_much(5, "the hub is stopping", 503); };
  router.stream("/beacon/v1/stream", net::Needs::follow,
                [weak](const net::Request& q, std::shared_ptr<net::EventStream> s) {
                  if (const auto self = weak.lock()) self->attach(q, std::move(s));
                  else s->close();
                });
  net::RouteOptions reports;
  reports.max_body = 4U << 20U;
  reports.has_room = [weak](std::size_t length) {
    const auto self = weak.lock();
    return self && self->now_of(length) < self->most_of(length);
  };
  router.async(
      net::Method::post, "/beacon/v1/reports", net::Needs::report,
      [weak, gone](net::Request q, net::Respond respond) {
        if (const auto self = weak.lock()) self->take_reports(std::move(q), std::move(respond));
        else respond(gone());
      },
      reports);
  net::RouteOptions small;
  small.max_body = 64U << 10U;
  router.async(
      net::Method::post, "/beacon/v1/ping", net::Needs::report,
      [weak, gone](net::Request q, net::Respond respond) {
        if (const auto self = weak.lock()) self->take_ping(std::move(q), std::move(respond));
        else respond(gone());
      },
      small);
  const auto file = [&](std::string pattern, std::string lane, bool items) {
    router.get(std::move(pattern), net::Needs::follow, [weak, gone, lane, items](const net::Request& q) {
      const auto self = weak.lock();
      return self ? self->file_reply(q, lane, items) : gone();
    });
  };
  file("/beacon/v1/bulk/{audience}/{seq}", "bulk", false);
  file("/beacon/v1/base/{audience}", "base", false);
  file("/beacon/v1/base/{audience}/{seq}", "base", false);
  file("/beacon/v1/base/{audience}/{seq}/items", "base", true);
}

}  // namespace bavn::beacon
