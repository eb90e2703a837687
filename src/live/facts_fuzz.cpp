// Any bytes as records of any format, their facts joined and their state saved: no crash, nothing larger than its limits, and what was
// saved is read again as the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "formats/reader.hpp"
#include "formats/source.hpp"
#include "notice/fact_reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  static const auto catalogue = *formats::Catalogue::builtin();
  static event::RouteTable routes;
  static const event::FieldPlan plan = [] {
    event::FieldPlan p;
    catalogue.add_names(p);
    catalogue.add_fact_names(p);
    return p;
  }();
  static formats::Reader records(catalogue, plan, routes);
  static notice::FactReader facts([] {
    std::vector<const event::FactMaps*> maps;
    for (const auto& d : catalogue.all()) maps.push_back(&d.facts);
    return std::make_shared<const notice::FactPlan>(plan, maps);
  }());
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  notice::FactJoiner joiner({.mails = 20, .urls = 20}), again;
  if (again.load(bytes)) {
    std::string saved;
    again.save(saved);
    if (saved != bytes) std::abort();
  }
  records.new_source();
  event::EventBatch batch;
  const auto source = formats::Source::of_bytes(bytes);
  std::vector<event::Fact> out;
  while (!source->done()) {
    const auto chunk = source->next(batch);
    if (!chunk) break;
    records.read(batch, chunk->from, chunk->to, chunk->first_line);
    notice::ReadFacts read;
    for (const auto& r : batch.records) facts.read(batch, r, {}, read);
    joiner.feed(std::move(read), from_micros(1'790'000'000'000'000), out);
  }
  for (const event::Fact& f : out) {
    std::string json;
    append_json(json, f);
    if (const auto* m = std::get_if<event::MailFact>(&f))
      if (m->recipients.size() > 1000 || m->urls.size() > 150 || m->subject.size() > 500) std::abort();
  }
  std::string saved, twice;
  joiner.save(saved);
  if (!again.load(saved)) std::abort();
  again.save(twice);
  if (saved != twice) std::abort();
  return 0;
}
