#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <unordered_map>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/let_go.hpp"
#include "base/text.hpp"
#include "live/gateways/bulk_body.hpp"
#include "live/gateways/gateways.hpp"
#include "net/json_value.hpp"

namespace bavn::live {

namespace {

using net::Needs;
constexpr std::string_view kWay = "elastic";
// What this answers is what the product's own clients check before they send (docs/shippers.md has the list): a way to be spoken to by
// unmodified shippers, not a claim to be that product.
constexpr std::string_view kProductHeader = "X-Elastic-Product", kProduct = "Elasticsearch";

net::Reply answer(std::string body, int status = 200) {
  net::Reply reply = net::json(std::move(body), status);
  reply.headers.set(kProductHeader, std::string(kProduct));
  return reply;
}

/// Errors of the whole request, in Elastic's shape.
net::Reply refusal(int status, std::string_view type, std::string_view reason) {
  std::string out;
  JsonWriter w(out);
  w.object().key("error").object().key("root_cause").array();
  w.object().member("type", type).member("reason", reason).end().end();
  w.member("type", type).member("reason", reason).end().member("status", status).end();
  net::Reply reply = answer(std::move(out), status);
  if (status == 503) reply.headers.set("Retry-After", "1");
  return reply;
}

/// Of a client of Elastic's, or of a path that only such a one asks for.
bool asked_by_elastic(const net::Request& q) {
  const std::string* accept = q.headers.find("Accept");
  return (accept != nullptr && accept->contains("application/vnd.elasticsearch+")) ||
         q.headers.find("X-Elastic-Client-Meta") != nullptr || q.path.contains("/_") || q.path == "/elastic" ||
         q.path.starts_with("/elastic/");
}

std::string_view type_of(int status) {
  switch (status) {
    case 401:
    case 403: return "security_exception";
    case 404: return "resource_not_found_exception";
    case 415: return "media_type_header_exception";
    case 429:
    case 503: return "es_rejected_execution_exception";
    default: return status < 500 ? "illegal_argument_exception" : "exception";
  }
}

/// What is refused before a handler sees it: no room, no token, too large, no such path. Elastic's clients cannot read
/// application/problem+json, and one that cannot read an error does not come back.
void in_elastics_words(net::Reply& reply) {
  const std::string* type = reply.headers.find("Content-Type");
  if (type == nullptr || !type->starts_with("application/problem+json")) return;
  const auto problem = net::JsonDocument::parse(reply.body);
  const std::string reason(problem ? problem->root()["detail"].text_or("refused") : "refused");
  net::Reply said = refusal(reply.status, type_of(reply.status), reason);
  reply.body = std::move(said.body);
  for (const std::string_view name : {std::string_view("Content-Type"), kProductHeader})
    if (const std::string* value = said.headers.find(name)) reply.headers.set(std::string(name), *value);
}

/// What becomes of an item.
enum class Fate : std::uint8_t { stored, known, conflict, refused, faulty };

/// What is known of an item while it waits takes more than a tiny document does, and the sink counts documents only.
constexpr std::size_t kMostWaitingItems = 400'000;

struct Elastic {
  explicit Elastic(const Gateways& g) : gateways(g) {}
  const Gateways gateways;
  std::atomic<std::size_t> waiting_items{0};
};

struct Waiting {
  Waiting(std::shared_ptr<Elastic> e, std::shared_ptr<const IntakeToken> t)
      : elastic(std::move(e)), gateways(elastic->gateways), token(std::move(t)) {}
  ~Waiting() { elastic->waiting_items -= counted; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  const std::shared_ptr<Elastic> elastic;
  const Gateways& gateways;
  std::size_t counted = 0;
  std::shared_ptr<const IntakeToken> token;
  std::string client;
  std::string body;  // bulk views it until the lines are made; action lines are not kept
  BulkBody bulk;
  std::vector<Fate> fates;
  std::vector<std::uint32_t> twins;  // item + 1 that stands for this one; 0: itself
  std::vector<std::uint32_t> lines;  // line -> item
  RecordIds::Claim claim;
  std::vector<std::uint32_t> claimed;  // items, in the claim's order
  Duration began{0};
};

void append_item(std::string& out, const BulkBody& bulk, const BulkItem& item, Fate fate) {
  out.append("{\"").append(to_string(item.action)).append("\":{");
  const auto member = [&](std::string_view name, std::string_view json) {
    if (!json.empty()) out.append(1, '"').append(name).append("\":").append(json).append(1, ',');
  };
  member("_index", bulk.index_of(item));
  member("_id", bulk.id_of(item));
  const auto error = [&](int status, std::string_view type, std::string_view reason) {
    out += fmt::format("\"status\":{},\"error\":{{\"type\":\"{}\",\"reason\":", status, type);
    append_json_string(out, reason);
    out += "}";
  };
  switch (fate) {
    case Fate::stored: out += R"("result":"created","status":201)"; break;
    case Fate::known: out += R"("result":"noop","status":200)"; break;
    case Fate::conflict:
      error(409, "version_conflict_engine_exception",
            "version conflict, document already exists (current version [1])");
      break;
    case Fate::refused:
      error(400, "document_parsing_exception", "failed to parse: the document is no JSON that can be read");
      break;
    case Fate::faulty:
      error(400, "illegal_argument_exception", item.fault == nullptr ? "it cannot be stored" : item.fault);
      break;
  }
  out += "}}";
}

net::Reply items_of(const Waiting& w) {
  std::string out;
  bool errors = false;
  for (const Fate f : w.fates) errors = errors || f >= Fate::conflict;
  out.reserve(64 + w.fates.size() * 64);
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(w.gateways.runtime.steady() - w.began).count();
  // In this order and spelling: shippers look for `"errors":false,"items":[` and for `"errors":true` in the first bytes.
  out += fmt::format("{{\"took\":{},\"errors\":{},\"items\":[", std::max<std::int64_t>(took, 0), errors);
  for (std::size_t i = 0; i < w.fates.size(); ++i) {
    if (i != 0) out += ',';
    append_item(out, w.bulk, w.bulk.items[i], w.fates[i]);
  }
  out += "]}";
  return answer(std::move(out));
}

void settle_twins(Waiting& w) {
  for (std::size_t i = 0; i < w.fates.size(); ++i) {
    if (w.twins.empty() || w.twins[i] == 0) continue;
    const Fate first = w.fates[w.twins[i] - 1];
    if (first == Fate::refused) w.fates[i] = first;
    else w.fates[i] = w.bulk.items[i].action == BulkAction::create ? Fate::conflict : Fate::known;
  }
}

GatewayCounts counts_of(const Waiting& w) {
  GatewayCounts c;
  for (const Fate f : w.fates) {
    c.records += f == Fate::stored ? 1 : 0;
    c.duplicates += f == Fate::known || f == Fate::conflict ? 1 : 0;
    c.refused += f == Fate::refused || f == Fate::faulty ? 1 : 0;
  }
  return c;
}

/// Who is stored, and under whose name. unavailable: another request stores some of these now.
Result<void> claim_ids(Waiting& w, input::Delivery& d) {
  std::vector<BulkItem>& items = w.bulk.items;
  if (std::none_of(items.begin(), items.end(), [](const BulkItem& i) { return i.name != 0; })) return {};
  const RecordKeys keys(d.source, d.municipality, d.tenant);
  std::vector<RecordKey> asked(items.size());
  w.twins.assign(items.size(), 0);
  struct Hash {
    std::size_t operator()(const std::array<std::uint64_t, 2>& id) const { return id[0]; }
  };
  std::unordered_map<std::array<std::uint64_t, 2>, std::uint32_t, Hash> here;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].name == 0 || items[i].fault != nullptr) continue;
    asked[i] = keys.of(w.bulk.index_of(items[i]), w.bulk.id_of(items[i]), items[i].document);
    const auto [at, fresh] = here.emplace(asked[i].id, static_cast<std::uint32_t>(i));
    if (!fresh && (items[i].action == BulkAction::create || asked[at->second].content == asked[i].content))
      w.twins[i] = at->second + 1;
  }
  auto got = w.gateways.ids.claim(asked, [&](std::size_t i, RecordIds::Seen seen) {
    if (w.twins[i] != 0) return false;
    if (items[i].action == BulkAction::create && seen != RecordIds::Seen::no) {
      w.fates[i] = Fate::conflict;
      return false;
    }
    if (seen == RecordIds::Seen::same) {
      w.fates[i] = Fate::known;
      return false;
    }
    w.claimed.push_back(static_cast<std::uint32_t>(i));
    return true;
  });
  if (!got) return std::unexpected(got.error());
  w.claim = std::move(got->claim);
  return {};
}

void bulk(const std::shared_ptr<Elastic>& elastic, net::Request request, net::Respond respond) {
  const Gateways& g = elastic->gateways;
  auto w = std::make_shared<Waiting>(elastic, g.tokens.of(request));
  if (!w->token) return respond(refusal(403, "security_exception", "this needs the token of a source"));
  w->began = g.runtime.steady();
  if (const std::string* agent = request.headers.find("User-Agent")) w->client = *agent;
  w->body = std::move(request.body);
  const auto index = request.params.find("index");
  auto read = read_bulk(w->body, index == request.params.end() ? std::string_view() : std::string_view(index->second));
  if (!read) {
    g.book.count(*w->token, kWay, w->client, {.fault = read.error().what});
    return respond(refusal(read.error().where == "413" ? 413 : 400, "illegal_argument_exception", read.error().what));
  }
  w->bulk = std::move(*read);
  w->counted = w->bulk.items.size();
  const std::size_t before = elastic->waiting_items.fetch_add(w->counted);
  if (before != 0 && before + w->counted > kMostWaitingItems) {
    g.book.count(*w->token, kWay, w->client, {.turned_away = true});
    return respond(refusal(503, "es_rejected_execution_exception", "the intake is full; send it again in a second"));
  }
  w->fates.assign(w->bulk.items.size(), Fate::stored);
  input::Delivery d = delivery_of(g, *w->token);
  if (auto ok = claim_ids(*w, d); !ok) {
    g.book.count(*w->token, kWay, w->client, {.turned_away = true});
    return respond(refusal(503, "unavailable_shards_exception", ok.error().what));
  }
  d.bytes.reserve(w->body.size());
  for (std::size_t i = 0; i < w->bulk.items.size(); ++i) {
    const BulkItem& item = w->bulk.items[i];
    if (item.fault != nullptr) w->fates[i] = Fate::faulty;
    if (w->fates[i] != Fate::stored || (!w->twins.empty() && w->twins[i] != 0)) continue;
    append_named_line(d.bytes, item.document, w->bulk.index_of(item), w->bulk.id_of(item));
    d.bytes += '\n';
    w->lines.push_back(static_cast<std::uint32_t>(i));
  }
  let_go(w->body);  // from here on d.bytes is what waits, and what counts
  for (BulkItem& item : w->bulk.items) item.document = {};
  const auto done = [](Waiting& x) {
    settle_twins(x);
    x.gateways.book.count(*x.token, kWay, x.client, counts_of(x));
    return items_of(x);
  };
  if (w->lines.empty()) return respond(done(*w));
  g.sink.deliver(std::move(d), [w, done, respond = std::move(respond)](Result<input::Receipt> receipt) mutable {
    if (!receipt) {
      w->claim.settle({});
      const bool full = receipt.error().code == Code::unavailable;
      w->gateways.book.count(*w->token, kWay, w->client,
                             {.turned_away = full, .fault = full ? std::string() : receipt.error().what});
      return respond(full ? refusal(503, "unavailable_shards_exception", receipt.error().what)
                          : refusal(400, "illegal_argument_exception", receipt.error().what));
    }
    for (const std::uint64_t line : receipt->refused_lines)
      if (line >= 1 && line <= w->lines.size()) w->fates[w->lines[line - 1]] = Fate::refused;
    std::vector<bool> stored(w->claimed.size());
    for (std::size_t i = 0; i < stored.size(); ++i) stored[i] = w->fates[w->claimed[i]] == Fate::stored;
    w->claim.settle(stored);
    respond(done(*w));
  });
}

std::string hello(const std::string& version, std::string_view uuid) {
  std::string out;
  JsonWriter w(out);
  w.object().member("name", "bavn").member("cluster_name", "bavn").member("cluster_uuid", uuid).key("version").object();
  w.member("number", version).member("build_flavor", "default").member("build_type", "deb");
  w.member("build_hash", "0000000000000000000000000000000000000000")
      .member("build_date", "2024-01-01T00:00:00.000000000Z");
  w.member("build_snapshot", false).member("lucene_version", "9.8.0");
  w.member("minimum_wire_compatibility_version", "7.17.0").member("minimum_index_compatibility_version", "7.0.0");
  w.end().member("tagline", "You Know, for Search").end();
  return out;
}

}  // namespace

void add_elastic_routes(net::Router& router, const Gateways& gateways) {
  auto elastic = std::make_shared<Elastic>(gateways);
  const Gateways* g = &elastic->gateways;
  router.guard({.arrive = [](net::Request& q) -> std::function<void(net::Reply&)> {
    if (asked_of_hec(q)) return in_hecs_words;
    if (asked_by_elastic(q)) return in_elastics_words;
    return [](net::Reply&) {};
  }});
  net::RouteOptions body;
  body.max_body = g->options.max_body;
  body.deadline = std::chrono::seconds(60);
  body.has_room = [&sink = g->sink](std::size_t length) { return sink.has_room(length); };
  // The same node under the same name at each connect; it says nothing about the node.
  const std::string uuid = to_base64url(blake2b256("bavn")).substr(0, 22);
  const auto fixed = [&](const std::string& path, std::string text) {
    router.get(path, Needs::event_write, [text = std::move(text)](const net::Request&) { return answer(text); });
  };
  for (const std::string prefix : {"", "/elastic"}) {
    const auto on_bulk = [elastic](net::Request q, net::Respond respond) {
      bulk(elastic, std::move(q), std::move(respond));
    };
    for (const auto method : {net::Method::post, net::Method::put})
      for (const char* path : {"/_bulk", "/{index}/_bulk"})
        router.async(method, prefix + path, Needs::event_write, on_bulk, body);
    fixed(prefix.empty() ? "/" : prefix, hello(g->options.elastic_version, uuid));
    if (!prefix.empty()) fixed(prefix + "/", hello(g->options.elastic_version, uuid));
    fixed(prefix + "/_license",
          fmt::format(
              R"({{"license":{{"status":"active","uid":"{}","type":"basic","issue_date":"2024-01-01T00:00:00.000Z",)"
              R"("issue_date_in_millis":1704067200000,"expiry_date_in_millis":4000000000000,"max_nodes":1000,)"
              R"("issued_to":"bavn","issuer":"bavn","start_date_in_millis":-1}}}})",
              uuid));
    router.get(prefix + "/_cluster/health", Needs::event_write, [elastic, g](const net::Request&) {
      // Green means: a delivery would be taken now.
      const bool room = g->sink.has_room(1);
      return answer(fmt::format(R"({{"cluster_name":"bavn","status":"{}","timed_out":false,"number_of_nodes":1,)"
                                R"("number_of_data_nodes":1,"active_primary_shards":0,"active_shards":0}})",
                                room ? "green" : "red"),
                    room ? 200 : 503);
    });
    // rsyslog only wants to be answered.
    router.get(prefix + "/_cat/health", Needs::event_write, [elastic, g](const net::Request&) {
      net::Reply reply = net::text(g->sink.has_room(1) ? "bavn green\n" : "bavn red\n");
      reply.headers.set(kProductHeader, std::string(kProduct));
      return reply;
    });
    // Beats and Logstash look for these and may write them. There are no indices here for which they could have an effect.
    fixed(prefix + "/_nodes", R"({"_nodes":{"total":0,"successful":0,"failed":0},"cluster_name":"bavn","nodes":{}})");
    for (const char* path :
         {"/_nodes/{what}", "/_nodes/{what}/{which}", "/_xpack", "/_ilm/status", "/_ingest/pipeline"})
      fixed(prefix + path, "{}");
    for (const char* path :
         {"/_ilm/policy/{name}", "/_index_template/{name}", "/_component_template/{name}", "/_template/{name}",
          "/_ingest/pipeline/{name}", "/_data_stream/{name}", "/_alias/{name}"}) {
      fixed(prefix + path, "{}");
      router.put(prefix + path, Needs::event_write,
                 [](const net::Request&) { return answer(R"({"acknowledged":true})"); });
    }
  }
}

}  // namespace bavn::live
