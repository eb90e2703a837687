#pragma once
// The plain live status page of a hub or a node, as HTML and as JSON, from one view. Everything in it that came from outside is escaped.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"

namespace bavn::app {

struct StatusView {
  struct Source {
    std::string name, state, text;                   // text: what is wrong and what to do
    std::optional<std::int64_t> lag_seconds;         // measured by the source
    std::optional<std::int64_t> newest_age_seconds;  // of the newest record there is
    std::uint64_t records = 0, refused = 0;
  };
  struct Alert {
    std::string title, level, about;
    std::uint64_t count = 0;
    Instant last{};
  };
  struct Municipality {
    std::string code, name;
    std::string state;  // connected, away, never, revoked
    Instant last_seen{};
    std::int64_t behind = 0;  // entries of the log not yet confirmed
    std::uint64_t open_alerts = 0;
    double private_mb = 0;  // of a guest; 0 when not here
    std::vector<Source> sources;
    std::vector<Alert> alerts;  // the newest few
  };
  struct Figure {
    std::string name, value;
  };
  /// A wave that burns now: at the hub as correlation sees it, at a node as the warning that came.
  struct Wave {
    std::string title, state, severity;  // state: warned, suspected, noticed here, over
    Instant first{};                     // its first mail
    std::vector<Figure> figures;         // "Municipalities" 6, "Noticed after" "12 s", ...
    std::vector<std::string> steps;      // what happened, oldest first, one line each
  };
  std::vector<Wave> waves;
  std::string title;  // "Hub of Joint CERT", "Node of 0157 Gentofte"
  std::string version;
  Instant now{}, since{};
  std::vector<Figure> figures;
  std::vector<Municipality> municipalities;
  struct Blind {
    std::string name, what;  // "Windows computers", what is not seen without them
  };
  std::vector<Blind> blind;           // of a node
  std::vector<std::string> trouble;   // sentences; empty: all is well
  std::vector<std::string> commands;  // to try
};

std::string status_html(const StatusView& view);
std::string status_json(const StatusView& view);
/// "12 s", "4 min", "3 h", "2 days".
std::string plain_duration(std::int64_t seconds);
std::string with_commas(std::uint64_t n);
std::string escape_html(std::string_view text);

}  // namespace bavn::app
