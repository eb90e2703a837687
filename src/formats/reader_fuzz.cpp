// JSON lines, and everything else that a file may hold, through Source and Reader: no crash, no field outside its bytes, and the same
// rows whether records are known by their shape or walked.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "formats/reader.hpp"
#include "formats/source.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  static const auto catalogue = *formats::Catalogue::builtin();
  static event::RouteTable routes;
  static event::FieldPlan plan = [] {
    event::FieldPlan p;
    catalogue.add_names(p);
    return p;
  }();
  static formats::Reader reader(catalogue, plan, routes);
  static formats::Reader walker(catalogue, plan, routes, [] {
    formats::ReaderOptions o;
    o.shapes = false;
    return o;
  }());
  reader.new_source();
  walker.new_source();
  event::EventBatch batch, walked;
  formats::SourceOptions options;
  options.chunk = 1024;
  options.max_record = 64U << 10;
  auto source = formats::Source::of_bytes({reinterpret_cast<const char*>(data), size}, options);
  while (!source->done()) {
    auto chunk = source->next(batch);
    if (!chunk) break;
    walked.clear();
    walked.raw = batch.raw;
    walker.read(walked, chunk->from, chunk->to, chunk->first_line);
    reader.read(batch, chunk->from, chunk->to, chunk->first_line);
    if (walked.records.size() != batch.records.size() || walked.fields.size() != batch.fields.size()) std::abort();
    for (std::size_t i = 0; i < batch.fields.size(); ++i)
      if (batch.bytes(batch.fields[i]) != walked.bytes(walked.fields[i]) ||
          batch.fields[i].slot != walked.fields[i].slot || batch.fields[i].role != walked.fields[i].role)
        std::abort();
    for (const auto& r : batch.records) {
      if (r.offset + std::size_t{r.length} > batch.raw.size() ||
          r.first_field + std::size_t{r.field_count} > batch.fields.size())
        std::abort();
      for (const auto& f : batch.fields_of(r)) {
        const std::string_view from =
            (f.flags & event::Field::kDerived) != 0 ? std::string_view(batch.derived) : batch.raw;
        if (f.offset + std::size_t{f.length} > from.size()) std::abort();
      }
    }
  }
  return 0;
}
