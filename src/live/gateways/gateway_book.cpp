#include "live/gateways/gateway_book.hpp"

#include <boost/describe.hpp>

#include "base/log.hpp"
#include "base/text.hpp"

namespace bavn::live {

BOOST_DESCRIBE_STRUCT(GatewayRow, (),
                      (source, municipality, tenant, way, client, requests, records, refused, duplicates, turned_away,
                       faults, first_at_us, last_at_us, fault_at_us, fault))

namespace {

constexpr Duration kEvery = std::chrono::seconds(2);
constexpr std::size_t kMostRows = 10'000;  // of sources and ways that wait to be written

std::string short_text(std::string_view text, std::size_t most) {
  text = text.substr(0, most);
  while (!text.empty() && !is_valid_utf8(text)) text.remove_suffix(1);
  return std::string(text);
}

Result<void> write(store::Tx& tx, const std::vector<GatewayRow>& rows) {
  for (const GatewayRow& r : rows)
    BAVN_CHECK(tx.exec(
        "INSERT INTO live_gateway (source, municipality, tenant, way, client, requests, records, refused, duplicates, "
        "turned_away, faults, first_at_us, last_at_us, fault_at_us, fault) VALUES (:source, :m, :t, :way, :client, "
        ":requests, :records, :refused, :duplicates, :turned_away, :faults, :at, :at, :fault_at, :fault) ON CONFLICT "
        "(source, municipality, tenant, way) DO UPDATE SET client = :client, requests = requests + :requests, records "
        "= "
        "records + :records, refused = refused + :refused, duplicates = duplicates + :duplicates, turned_away = "
        "turned_away + :turned_away, faults = faults + :faults, last_at_us = max(last_at_us, :at), fault_at_us = CASE "
        "WHEN :fault_at > 0 THEN :fault_at ELSE fault_at_us END, fault = CASE WHEN :fault_at > 0 THEN :fault ELSE "
        "fault "
        "END",
        {{"source", r.source},
         {"m", r.municipality},
         {"t", r.tenant},
         {"way", r.way},
         {"client", r.client},
         {"requests", r.requests},
         {"records", r.records},
         {"refused", r.refused},
         {"duplicates", r.duplicates},
         {"turned_away", r.turned_away},
         {"faults", r.faults},
         {"at", r.last_at_us},
         {"fault_at", r.fault_at_us},
         {"fault", r.fault}}));
  return {};
}

}  // namespace

struct GatewayBook::Inner : std::enable_shared_from_this<Inner> {
  using Key = std::tuple<std::string, std::int64_t, std::int64_t, std::string>;
  struct Waiting {
    std::map<Key, GatewayRow> rows;
    bool timer = false;
  };
  Inner(Runtime& r, store::State& s)
      : runtime(r), state(s), queue(r.queue({.name = "gateway-book", .threads = 1, .limit = 100})) {}

  std::vector<GatewayRow> take() {
    return waiting.with([](Waiting& w) {
      std::vector<GatewayRow> out;
      for (auto& [key, row] : w.rows) out.push_back(std::move(row));
      w.rows.clear();
      w.timer = false;
      return out;
    });
  }
  void write_soon() {
    runtime.after(kEvery, queue, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      auto rows = std::make_shared<std::vector<GatewayRow>>(self->take());
      if (rows->empty()) return;
      self->state.write([rows](store::Tx& tx) { return write(tx, *rows); },
                        [](Result<void> ok) {
                          if (!ok) log::warn("gateway_counts_lost", {{"reason", to_string(ok.error())}});
                        });
    });
  }
  Runtime& runtime;
  store::State& state;
  QueueId queue;
  Guarded<Waiting> waiting;
};

GatewayBook::GatewayBook(Runtime& runtime, store::State& state) : inner_(std::make_shared<Inner>(runtime, state)) {}

GatewayBook::~GatewayBook() {
  (void)flush();
}

void GatewayBook::count(const IntakeToken& token, std::string_view way, const net::Request& from,
                        const GatewayCounts& counts) {
  const std::string* agent = from.headers.find("User-Agent");
  count(token, way, agent == nullptr ? std::string_view() : std::string_view(*agent), counts);
}

void GatewayBook::count(const IntakeToken& token, std::string_view way, std::string_view client,
                        const GatewayCounts& c) {
  const std::int64_t now = micros(inner_->runtime.now());
  const bool start = inner_->waiting.with([&](Inner::Waiting& w) {
    if (w.rows.size() >= kMostRows) return false;
    GatewayRow& r = w.rows[{"http." + token.source, token.municipality, token.tenant, std::string(way)}];
    r.source = "http." + token.source;
    r.municipality = token.municipality;
    r.tenant = token.tenant;
    r.way = way;
    r.client = short_text(client, 200);
    ++r.requests;
    r.records += static_cast<std::int64_t>(c.records);
    r.refused += static_cast<std::int64_t>(c.refused);
    r.duplicates += static_cast<std::int64_t>(c.duplicates);
    r.turned_away += c.turned_away ? 1 : 0;
    r.last_at_us = now;
    if (!c.fault.empty()) {
      ++r.faults;
      r.fault_at_us = now;
      r.fault = short_text(c.fault, 300);
    }
    return !std::exchange(w.timer, true);
  });
  if (start) inner_->write_soon();
}

Result<void> GatewayBook::flush() {
  const auto rows = inner_->take();
  if (rows.empty()) return {};
  return inner_->state.write_now([&](store::Tx& tx) { return write(tx, rows); });
}

Result<std::vector<GatewayRow>> GatewayBook::list(const event::Scope& scope) const {
  if (!scope.may(event::Right::alert_read)) return fail(Code::forbidden, scope.who() + " may not read the sources");
  BAVN_TRY(auto rows, inner_->state.read([](store::Reader& db) {
    return db.all<GatewayRow>(
        "SELECT source, municipality, tenant, way, client, requests, records, refused, duplicates, turned_away, "
        "faults, "
        "first_at_us, last_at_us, fault_at_us, fault FROM live_gateway ORDER BY source, municipality, tenant, way");
  }));
  std::erase_if(rows, [&](const GatewayRow& r) {
    return !scope.sees(MunicipalityId{static_cast<std::uint16_t>(r.municipality)});
  });
  return rows;
}

}  // namespace bavn::live
