#include "event/finding.hpp"

#include "base/json_writer.hpp"

namespace bavn::event {

void append_json(std::string& out, const Finding& f) {
  JsonWriter w(out);
  w.object();
  const char* kind = f.kind == FindingKind::sigma         ? "sigma"
                     : f.kind == FindingKind::correlation ? "correlation"
                                                          : "indicator";
  w.member("kind", kind);
  if (f.kind == FindingKind::indicator) {
    w.key("indicator").object();
    w.member("kind", f.indicator_kind).member("value", f.indicator_value).member("source", f.indicator_source);
    if (!f.action.empty()) w.member("action", f.action);
    w.end();
  } else {
    w.key("rule").object();
    w.member("id", f.rule_id).member("title", f.rule_title).member("level", f.rule_level);
    w.end();
  }
  w.member("found_at", format_time(f.found_at));
  if (micros(f.happened_at) == 0) w.key("happened_at").null();
  else w.member("happened_at", format_time(f.happened_at));
  w.member("municipality", f.municipality).member("format", f.format).member("file", f.file).member("line", f.line);
  w.key("fields").object();
  for (const auto& [name, value] : f.fields) w.member(name, value);
  w.end();
  w.end();
}

}  // namespace bavn::event
