#pragma once
// A node's report as correlation takes it (the same members as beacon::Report, which this module does not know), and the functions that
// the app fills. Life: values; a report's body lives as long as the call.
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "event/tlp.hpp"
#include "store/state.hpp"

namespace bavn::correlate {

struct Report {
  std::string node;
  std::string id;  // the sender's; unique per node
  std::string kind;
  MunicipalityId municipality{};
  event::Tlp tlp = event::Tlp::red;
  Instant at;                  // the node's clock
  Instant received;            // ours; not used to decide when zero
  std::string_view body = {};  // JSON object, valid, at most 256 KiB
};

/// An entry to one municipality (or to all) in the urgent stream, within the transaction.
using Down = std::function<Result<void>(store::Tx&, std::optional<MunicipalityId> to, std::string_view kind,
                                        const std::string& json)>;

}  // namespace bavn::correlate
