// bavn formats list|explain|test|facts
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "app/commands.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "formats/reader.hpp"
#include "formats/render.hpp"
#include "formats/source.hpp"
#include "jail/jail.hpp"
#include "notice/fact_reader.hpp"

namespace bavn::app {

namespace {

std::string joined(const std::vector<std::string>& v, const char* with = ", ") {
  return fmt::format("{}", fmt::join(v, with));
}

void explain(const formats::Description& d) {
  fmt::print("{}: {}\n  reader {}, OCSF class {}, priority {}\n", d.name, d.title, d.reader, d.ocsf, d.priority);
  if (!d.recognise.empty()) fmt::print("known by (any one of):\n");
  for (const auto& r : d.recognise) {
    fmt::print("  has {}", joined(r.keys));
    for (const auto& [k, v] : r.values) fmt::print("; {} is one of {}", k, joined(v));
    fmt::print("\n");
  }
  if (!d.roots.empty()) fmt::print("short names below: {}\n", joined(d.roots));
  if (!d.time.empty()) fmt::print("time from: {}\n", joined(d.time));
  if (!d.unwrap.empty()) fmt::print("record inside: {}\n", joined(d.unwrap));
  if (!d.fields.empty()) fmt::print("rule fields:\n");
  for (const auto& [name, paths] : d.fields) fmt::print("  {:<28} <- {}\n", name, joined(paths));
  if (!d.observables.empty()) fmt::print("observables:\n");
  for (const auto& [name, role] : d.observables) fmt::print("  {:<28} {}\n", name, formats::to_string(role));
  fmt::print("log sources:\n");
  for (const auto& l : d.logsource) {
    std::string when;
    for (const auto& [k, v] : l.when) when += fmt::format("{}{} = {}", when.empty() ? "" : ", ", k, joined(v, "|"));
    fmt::print("  {}{}{}{}{}\n", l.unknown ? "any (unknown source) " : "",
               l.product.empty() ? "" : "product " + l.product + " ",
               l.service.empty() ? "" : "service " + l.service + " ",
               l.category.empty() ? "" : "category " + l.category + " ", when.empty() ? "always" : "when " + when);
  }
  if (!d.facts.empty()) fmt::print("facts that notices are made from:\n");
  for (const event::FactMap& m : d.facts.maps) {
    const std::string_view what = m.kind == event::FactKind::change ? to_string(m.change)
                                  : m.kind == event::FactKind::harm ? to_string(m.harm)
                                                                    : to_string(m.kind);
    std::string when;
    if (!m.is.empty()) when = fmt::format("{} = {}", d.facts.by, joined(m.is, "|"));
    for (const auto& [k, v] : m.when) when += fmt::format("{}{} = {}", when.empty() ? "" : ", ", k, joined(v, "|"));
    if (!m.any.empty()) when += fmt::format("{}any of {}", when.empty() ? "" : ", ", joined(m.any));
    fmt::print("  {:<28} {}\n", what, when.empty() ? "always" : "when " + when);
  }
}

/// The records of files as facts, joined in the order they stand.
class FactsOfFiles {
 public:
  explicit FactsOfFiles(const formats::Catalogue& catalogue, const event::FieldPlan& plan) {
    std::vector<const event::FactMaps*> maps;
    for (const formats::Description& d : catalogue.all()) maps.push_back(&d.facts);
    reader_.emplace(std::make_shared<const notice::FactPlan>(plan, maps));
  }
  void print(const event::EventBatch& batch, Instant received) {
    notice::ReadFacts read;
    for (const event::Record& r : batch.records) reader_->read(batch, r, {}, read);
    std::vector<event::Fact> facts;
    joiner_.feed(std::move(read), received, facts);
    for (const event::Fact& f : facts) {
      std::string out;
      append_json(out, f);
      fmt::print("{}\n", out);
    }
  }
  ~FactsOfFiles() {
    if (const auto s = joiner_.stats(); s.without_sender != 0)
      fmt::print(stderr, "{} deliveries are no facts: nobody told who sent them (does the log begin in the middle?)\n",
                 s.without_sender);
  }

 private:
  std::optional<notice::FactReader> reader_;
  notice::FactJoiner joiner_;
};

}  // namespace

int formats(const FormatsOptions& options) {
  const auto catalogue = formats::Catalogue::builtin();
  if (!catalogue) {
    fmt::print(stderr, "{}\n", to_string(catalogue.error()));
    return kFailed;
  }
  if (options.action == "list") {
    for (const auto& d : catalogue->all()) {
      if (options.json) {
        std::string out;
        JsonWriter w(out);
        w.object().member("name", d.name).member("title", d.title).member("reader", d.reader).member("class", d.ocsf);
        w.end();
        fmt::print("{}\n", out);
      } else {
        fmt::print("{:<22} {:<8} {}\n", d.name, d.reader == "json" ? "JSON" : "text", d.title);
      }
    }
    return kDone;
  }
  if (!options.name.empty() && !catalogue->find(options.name)) {
    std::vector<std::string_view> names;
    for (const auto& d : catalogue->all()) names.push_back(d.name);
    const auto guess = nearest(options.name, names);
    fmt::print(stderr, "there is no format '{}'{}\n", options.name,
               guess.empty() ? "" : fmt::format("; did you mean '{}'?", guess));
    return kUsage;
  }
  if (options.action == "explain") {
    explain(catalogue->at(*catalogue->find(options.name)));
    return kDone;
  }
  unsigned missing = 0;
  int rc = kDone;
  Metrics metrics;
  jail::Jail jail{metrics};
  event::FieldPlan of_facts;
  catalogue->add_names(of_facts);
  catalogue->add_fact_names(of_facts);
  FactsOfFiles facts(*catalogue, of_facts);
  for (const auto& path : files_below(options.files, missing)) {
    const bool as_facts = options.action == "facts";
    event::FieldPlan plan;
    if (as_facts) plan = of_facts;
    else catalogue->add_names(plan);
    event::RouteTable routes;
    formats::ReaderOptions ro;
    if (!as_facts) ro.learn = &plan;
    if (!options.name.empty()) ro.format = catalogue->find(options.name);
    formats::SourceOptions so;
    so.parsers = &jail;
    auto opened = formats::Source::open_all(path, so);
    if (!opened) {
      fmt::print(stderr, "{}\n", to_string(opened.error()));
      rc = kPartly;
      continue;
    }
    for (auto& [name, source] : *opened) {
      ro.reference = source->modified_us() != 0 ? from_micros(source->modified_us()) : system_now();
      formats::Reader reader(*catalogue, plan, routes, ro);
      event::EventBatch batch;
      while (!source->done()) {
        auto chunk = source->next(batch);
        if (!chunk) {
          fmt::print(stderr, "{}\n", to_string(chunk.error()));
          rc = kPartly;
          break;
        }
        reader.read(batch, chunk->from, chunk->to, chunk->first_line);
        if (as_facts) facts.print(batch, *ro.reference);
        else
          for (const auto& r : batch.records) fmt::print("{}\n", formats::render(batch, r, *catalogue, plan, routes));
        for (const auto& r : batch.refusals) fmt::print(stderr, "{}:{}: {}: {}\n", name, r.line, r.reason, r.detail);
      }
    }
  }
  return missing != 0 ? kPartly : rc;
}

}  // namespace bavn::app
