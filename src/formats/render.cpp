#include "formats/render.hpp"

#include <map>

#include "base/json_writer.hpp"
#include "formats/reader.hpp"
#include "formats/source.hpp"

namespace bavn::formats {

std::string render(const event::EventBatch& batch, const event::Record& r, const Catalogue& catalogue,
                   const event::FieldPlan& plan, const event::RouteTable& routes) {
  std::string out;
  JsonWriter w(out);
  w.object();
  w.member("format", catalogue.at(r.format).name);
  w.key("happened_at");
  if (r.happened_us == 0) w.null();
  else w.value(format_time(from_micros(r.happened_us)));
  w.key("route").object();
  if (r.route != event::kNoRoute) {
    const event::Route& route = routes.at(r.route);
    const auto list = [&](const char* name, const std::vector<std::string>& v) {
      if (v.empty()) return;
      w.key(name);
      if (v.size() == 1) {
        w.value(v[0]);
        return;
      }
      w.array();
      for (const auto& x : v) w.value(x);
      w.end();
    };
    list("product", route.products);
    list("service", route.services);
    list("category", route.categories);
    if (route.unknown) w.member("unknown", true);
    if (!route.ocsf_class.empty()) w.member("class", route.ocsf_class);
  }
  w.end();
  if (r.repaired) w.member("repaired", true);
  struct Value {
    std::string text;
    event::ValueKind kind;
  };
  std::map<std::string, std::vector<Value>> fields;
  std::map<std::string, std::string_view> roles;
  std::string scratch;
  for (const event::Field& f : batch.fields_of(r)) {
    const std::string name = f.slot == event::kNoSlot ? "?" : std::string(plan.name(f.slot));
    fields[name].push_back({std::string(batch.text(f, scratch)), f.kind()});
    if (f.role != event::Role::none) roles[name] = to_string(f.role);
  }
  w.key("fields").object();
  for (const auto& [name, values] : fields) {
    w.key(name);
    if (values.size() > 1) w.array();
    for (const Value& v : values) {
      if (v.kind == event::ValueKind::null) w.null();
      else w.value(v.text);
    }
    if (values.size() > 1) w.end();
  }
  w.end();
  w.key("observables").object();
  for (const auto& [name, role] : roles) w.member(name, role);
  w.end();
  w.end();
  return out;
}

std::string explain(const Catalogue& catalogue, std::string_view bytes, std::string_view format, Instant reference) {
  event::FieldPlan plan;
  // What a route adds is shown too, though no rule has asked for it.
  for (const Description& d : catalogue.all())
    for (const LogsourceEntry& l : d.logsource) {
      for (const auto& [to, from] : l.aliases) plan.add(to);
      for (const auto& [to, value] : l.adds) plan.add(to);
    }
  catalogue.add_names(plan);
  event::RouteTable routes;
  ReaderOptions options;
  options.learn = &plan;
  options.reference = reference;
  if (!format.empty()) options.format = catalogue.find(format);
  Reader reader(catalogue, plan, routes, options);
  auto source = Source::of_bytes(bytes);
  event::EventBatch batch;
  std::string out;
  while (!source->done()) {
    auto chunk = source->next(batch);
    if (!chunk) break;
    const std::size_t already = batch.refusals.size();
    reader.read(batch, chunk->from, chunk->to, chunk->first_line);
    (void)already;
    std::size_t next_refusal = 0;
    const auto refusals_before = [&](std::uint64_t line) {
      for (; next_refusal < batch.refusals.size() && batch.refusals[next_refusal].line <= line; ++next_refusal) {
        JsonWriter w(out);
        w.object();
        w.member("refused", batch.refusals[next_refusal].reason).member("line", batch.refusals[next_refusal].line);
        w.end();
        out += '\n';
      }
    };
    for (const event::Record& r : batch.records) {
      refusals_before(r.line);
      out += render(batch, r, catalogue, plan, routes);
      out += '\n';
    }
    refusals_before(UINT64_MAX);
  }
  return out;
}

}  // namespace bavn::formats
