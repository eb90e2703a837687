#include "app/indicator_report.hpp"

namespace bavn::app {

void append_json(JsonWriter& w, const std::string& path, const match::indicators::LoadReport& r) {
  w.object()
      .member("path", path)
      .member("format", r.format)
      .member("loaded", r.loaded)
      .member("not_evaluated", r.not_evaluated);
  for (const auto& [name, reasons] : {std::pair{"refused", &r.refused}, {"skipped", &r.skipped}, {"notes", &r.notes}}) {
    w.key(name).array();
    for (const auto& [reason, x] : *reasons)
      w.object()
          .member("reason", reason)
          .member("count", x.count)
          .member("first_where", x.first_where)
          .member("first_value", x.first_value)
          .end();
    w.end();
  }
  w.end();
}

}  // namespace bavn::app
