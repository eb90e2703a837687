#pragma once
// What the readers of the single list formats share. Internal to this folder.
#include <string>
#include <string_view>

#include "match/indicators/load.hpp"

namespace bavn::match::indicators {

class ListTarget {
 public:
  ListTarget(const IndicatorSink& sink, const LoadOptions& with, LoadReport& into)
      : options(with), report(into), sink_(sink) {}
  void add(const Indicator& i, std::string_view where);
  void skip(std::string_view reason, std::string_view where, std::string_view value) {
    count(report.skipped, reason, where, value);
    if (options.dropped) options.dropped(reason, where, value);
  }
  void refuse(std::string_view reason, std::string_view where, std::string_view value) {
    count(report.refused, reason, where, value);
    if (options.dropped) options.dropped(reason, where, value);
  }
  void note(std::string_view reason, std::string_view where, std::string_view value) {
    count(report.notes, reason, where, value);
  }
  Indicator blank() const;  // with the options' defaults

  const LoadOptions& options;
  LoadReport& report;

 private:
  static void count(std::map<std::string, LoadReport::Reason>& in, std::string_view reason, std::string_view where,
                    std::string_view value);
  const IndicatorSink& sink_;
};

void load_csv(std::string_view text, ListTarget& to);
bool looks_like_csv(std::string_view text);
void load_text(std::string_view text, ListTarget& to);
/// MISP and STIX, by shape.
Result<void> load_json(std::string_view bytes, ListTarget& to);
Result<void> load_misp_feed(const std::string& folder, ListTarget& to);

/// f(kind name as parse_kind takes it, value) for each observable in a MISP attribute; false when the type has none.
/// "filename|sha256" gives the hash alone: the two belong together and the hash is the surer one.
bool misp_values(std::string_view type, std::string_view value,
                 const std::function<void(std::string_view, std::string_view)>& f);

/// A time as lists write it: RFC 3339 or an epoch; empty text is "none".
bool read_time(std::string_view text, Instant& out);

}  // namespace bavn::match::indicators
