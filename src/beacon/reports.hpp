#pragma once
// The JSON that goes up: batches of reports, pings and their answers (README.md has the forms). Written and read here only.
// Readers take foreign bytes: bad_input with the JSON pointer. Thread rules: values and free functions.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "beacon/spool.hpp"
#include "beacon/witness.hpp"
#include "event/tlp.hpp"

namespace bavn::beacon {

constexpr std::size_t kMaxBody = 256U << 10U;  // of one item
constexpr std::size_t kMaxBatchItems = 5000;

struct ReportItem {
  std::string id, kind;
  MunicipalityId municipality{};
  event::Tlp tlp = event::Tlp::red;
  Instant at;
  std::string body;  // JSON object
};
struct ReportBatch {
  std::string id;
  std::vector<ReportItem> items;
};
/// One item as it stands in the batch, and in "What left us". `body` must be valid JSON.
std::string write_item(const ReportItem& item);
std::string write_batch(std::string_view id, const std::vector<std::string>& items);  // items: of write_item
Result<ReportBatch> read_batch(std::string_view json);

struct BatchAnswer {
  std::string batch;
  std::vector<RefusedItem> refused;
};
Result<BatchAnswer> read_answer(std::string_view json);

struct Ping {
  Instant sent;
  std::optional<std::int64_t> offset_us;  // as measured at the ping before
  std::int64_t round_trip_us = 0;
  std::string version, trouble;
  std::string key;                 // public half of the node's witness key; empty: no witnessing this time
  std::optional<AuditHead> audit;  // of the node's log
  std::optional<Witness> witness;  // the node's, of the hub's head it got before
};
struct Pong {
  Instant received, sent;
  std::string trouble;
  std::optional<AuditHead> audit;  // of the hub's log
  std::optional<Witness> witness;  // the hub's, of the node's head
};
std::string write_ping(const Ping& ping);
Result<Ping> read_ping(std::string_view json);
std::string write_pong(const Pong& pong);
Result<Pong> read_pong(std::string_view json);

}  // namespace bavn::beacon
