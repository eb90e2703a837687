#include "show/api/records/records.hpp"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <set>

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"
#include "event/extract.hpp"
#include "formats/description.hpp"
#include "hunt/observables.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

constexpr std::size_t kMostFields = 2000, kMostObservables = 500, kMostOfAValue = 16 * 1024;

template <class T>
bool number(std::string_view text, T& n, int base) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n, base);
  return ec == std::errc{} && end == text.data() + text.size() && !text.empty();
}

/// A value with every name it has.
struct FieldView {
  std::string path, value;
  const char* type = "string";
  std::vector<std::string> names;
  event::Role role = event::Role::none;
};

const char* type_of(event::ValueKind kind) {
  switch (kind) {
    case event::ValueKind::number: return "number";
    case event::ValueKind::boolean: return "boolean";
    case event::ValueKind::null: return "null";
    case event::ValueKind::nested: return "nested";
    case event::ValueKind::string: break;
  }
  return "string";
}

/// Everything that can be told of one line.
struct ReadRecord {
  const formats::Description* format = nullptr;
  std::string ocsf_class, product, service, category;
  std::int64_t happened_us = 0;
  bool repaired = false, parsed = false;
  std::vector<FieldView> fields;
  std::size_t more_fields = 0;
  std::vector<event::Observable> observables;
};

void add_fields(const event::EventBatch& batch, const event::Record& r, const event::FieldPlan& plan,
                const formats::Description* format, ReadRecord& into) {
  std::set<std::string_view> rule_names;
  if (format != nullptr)
    for (const auto& [name, paths] : format->fields) rule_names.insert(name);
  std::map<std::tuple<bool, std::uint32_t, std::uint32_t>, std::size_t> at;
  std::string scratch;
  for (const event::Field& f : batch.fields_of(r)) {
    if (f.slot == event::kNoSlot) continue;
    const std::string_view name = plan.name(f.slot);
    const auto key = std::tuple((f.flags & event::Field::kDerived) != 0, f.offset, f.length);
    const auto [it, fresh] = at.try_emplace(key, into.fields.size());
    if (fresh) {
      if (into.fields.size() >= kMostFields) {
        at.erase(it);
        ++into.more_fields;
        continue;
      }
      FieldView v;
      v.path = name;
      v.value = shown(batch.text(f, scratch), kMostOfAValue);
      v.type = type_of(f.kind());
      v.role = f.role;
      into.fields.push_back(std::move(v));
      continue;
    }
    FieldView& v = into.fields[it->second];
    if (f.role != event::Role::none) v.role = f.role;
    if (v.path == name) continue;
    // What rules call it is a name; where it stands is the path.
    if (rule_names.contains(v.path) && !rule_names.contains(name)) std::swap(v.path, v.names.emplace_back(name));
    else v.names.emplace_back(name);
  }
}

void add_observables(const event::EventBatch& batch, const event::Record& r, ReadRecord& into) {
  event::Extractor extractor;
  std::set<event::Observable> seen;
  const auto take = [&](event::Kind kind, std::string_view value) {
    event::Observable o{kind, std::string(value)};
    if (into.observables.size() < kMostObservables && seen.insert(o).second) into.observables.push_back(std::move(o));
  };
  std::string scratch, host;
  const event::Field* path = nullptr;
  for (const event::Field& f : batch.fields_of(r)) {
    if (f.role == event::Role::none) continue;
    if (f.role == event::Role::url_path) path = &f;
    else if (f.role == event::Role::domain || f.role == event::Role::host_or_ip) host = batch.text(f, scratch);
    extractor.extract(f.role, batch.text(f, scratch), take);
  }
  if (path != nullptr && !host.empty()) extractor.url_of(host, batch.text(*path, scratch), take);
}

/// The line read once more, every value of it with its name.
ReadRecord read_again(hunt::Engine& engine, const OpenedLine& opened) {
  ReadRecord out;
  event::FieldPlan plan = engine.plan();
  formats::ReaderOptions options;
  options.learn = &plan;
  formats::Reader reader(engine.catalogue(), plan, engine.routes(), options);
  event::EventBatch batch;
  hunt::read_lines(reader, engine.catalogue(), opened.frame.format, opened.context, opened.line, batch);
  if (const auto id = engine.catalogue().find(opened.frame.format)) out.format = &engine.catalogue().at(*id);
  if (batch.records.empty()) return out;
  const event::Record& r = batch.records.front();
  out.parsed = true;
  out.happened_us = r.happened_us;
  out.repaired = r.repaired;
  if (r.format < engine.catalogue().all().size()) out.format = &engine.catalogue().at(r.format);
  if (out.format != nullptr) out.ocsf_class = out.format->ocsf;
  if (r.route != event::kNoRoute) {
    const event::Route& route = engine.routes().at(r.route);
    const auto first = [](const std::vector<std::string>& v) { return v.empty() ? std::string() : v.front(); };
    out.product = first(route.products);
    out.service = first(route.services);
    out.category = first(route.categories);
    if (!route.ocsf_class.empty()) out.ocsf_class = route.ocsf_class;
  }
  add_fields(batch, r, plan, out.format, out);
  add_observables(batch, r, out);
  return out;
}

void add_known(JsonWriter& w, hunt::Engine& engine, const event::Observable& o, Instant now) {
  const auto snapshot = engine.indicators().snapshot();
  const std::uint64_t hash = event::observable_hash(o.kind, o.value);
  bool done = false;
  for (std::size_t layer = 0; layer < snapshot->layers.size() && !done; ++layer)
    snapshot->layers[layer]->find(o.kind, o.value, hash, [&](const match::indicators::IndicatorView& v) {
      if (done || v.pattern() != nullptr || snapshot->is_removed(layer, v) || !v.valid_at(now)) return;
      done = true;
      w.key("known").object().member("source", v.source()).member("action", to_string(v.action()));
      w.member("confidence", static_cast<std::int64_t>(v.confidence()));
      add_text(w, "comment", v.comment());
      w.end();
    });
}

std::string record_json(hunt::Engine& engine, const RecordRef& ref, const OpenedLine& opened, Instant now) {
  const ReadRecord read = read_again(engine, opened);
  std::string out;
  JsonWriter w(out);
  w.object().member("ref", ref.text()).member("source", opened.frame.source.name);
  add_municipality(w, "municipality", opened.frame.source.municipality);
  w.key("format").object().member("name", opened.frame.format);
  w.member("title", read.format != nullptr ? read.format->title : opened.frame.format).end();
  add_text(w, "ocsf_class", read.ocsf_class);
  w.key("logsource").object();
  add_text(w, "product", read.product);
  add_text(w, "service", read.service);
  add_text(w, "category", read.category);
  w.end();
  add_time(w, "happened_at", read.happened_us);
  w.member("received_at", web::time_text(from_micros(opened.received_us)));
  w.member("bytes", static_cast<std::uint64_t>(opened.line.size()));
  w.member("hash", fmt::format("{:016x}", hash64(opened.line)));
  if (read.repaired) w.member("read_as", "windows-1252");
  w.key("fields").array();
  for (const FieldView& f : read.fields) {
    w.object().member("path", f.path).member("value", f.value).member("type", f.type).key("names").array();
    for (const auto& n : f.names) w.value(n);
    w.end();
    if (f.role != event::Role::none) w.member("role", formats::to_string(f.role));
    std::string_view ocsf = ocsf_attribute(read.ocsf_class, f.path, f.role);
    for (const auto& n : f.names)
      if (ocsf.empty()) ocsf = ocsf_attribute(read.ocsf_class, n, f.role);
    add_text(w, "ocsf", ocsf);
    w.end();
  }
  w.end();
  if (read.more_fields != 0) w.member("more_fields", static_cast<std::uint64_t>(read.more_fields));
  w.key("observables").array();
  for (const event::Observable& o : read.observables) {
    begin_observable(w, o).member("personal", is_personal(o.kind));
    add_known(w, engine, o, now);
    w.end();
  }
  w.end().key("raw").object();
  if (is_valid_utf8(opened.line)) w.member("encoding", "utf-8").member("text", opened.line);
  else w.member("encoding", "base64").member("base64", to_base64(opened.line));
  w.end();
  add_text(w, "header", hunt::decode_context(opened.context).header);
  w.end();
  return out;
}

Result<std::pair<RecordRef, OpenedLine>> opened_of(const NodeParts& p, const net::Request& q) {
  const auto ref = RecordRef::parse(q.param("ref"));
  if (!ref) return fail(Code::not_found, "there is no such record");
  BAVN_TRY(auto opened, open_line(p.history, q.scope, *ref));
  BAVN_CHECK(note_opened(p.state, q.scope.who(), "record", ref->text()));
  return std::pair(*ref, std::move(opened));
}

}  // namespace

std::string RecordRef::text() const {
  return fmt::format("{}-{}-{}-{:x}-{:x}-{:x}", segment, frame, line, hash, static_cast<std::uint64_t>(happened_us),
                     static_cast<std::uint64_t>(received_us));
}

std::optional<RecordRef> RecordRef::parse(std::string_view text) {
  const auto parts = split(text, '-');
  RecordRef r;
  std::uint64_t happened = 0, received = 0;
  if (parts.size() != 6 || !number(parts[0], r.segment, 10) || !number(parts[1], r.frame, 10) ||
      !number(parts[2], r.line, 10) || !number(parts[3], r.hash, 16) || !number(parts[4], happened, 16) ||
      !number(parts[5], received, 16) || r.line == 0)
    return std::nullopt;
  r.happened_us = static_cast<std::int64_t>(happened);
  r.received_us = static_cast<std::int64_t>(received);
  return r;
}

Result<OpenedLine> open_line(const history::History& history, const event::Scope& scope, const RecordRef& ref) {
  history::FrameText text;
  const auto in_frame = [&](const history::FrameRef& frame) -> std::optional<OpenedLine> {
    if (!history.read(scope, frame, text)) return std::nullopt;
    std::uint32_t n = 0;
    for (const std::string_view line : split(text.lines(), '\n')) {
      ++n;
      // A correlation has no hash: its place is all there is.
      if (ref.hash == 0 ? n != ref.line : hash64(line) != ref.hash) continue;
      return OpenedLine{std::string(line), std::string(text.context()), frame.info, text.received_us(n - 1)};
    }
    return std::nullopt;
  };
  const auto segments = history.segments(scope);
  for (const history::SegmentInfo& s : segments) {
    if (s.segment != ref.segment) continue;
    BAVN_TRY(const auto frames, history.frames(scope, s, {}));
    for (const history::FrameRef& f : frames)
      if (f.info.frame == ref.frame)
        if (auto found = in_frame(f)) return std::move(*found);
  }
  if (ref.hash != 0) {
    // Moved: the cold pass keeps the received day, and the frame's range holds the record's time.
    history::Filter filter;
    filter.from_us = filter.until_us = ref.happened_us != 0 ? ref.happened_us : ref.received_us;
    for (const history::SegmentInfo& s : segments) {
      if (!s.packed || s.day != history::day_of(ref.received_us)) continue;
      BAVN_TRY(const auto frames, history.frames(scope, s, filter));
      for (const history::FrameRef& f : frames)
        if (auto found = in_frame(f)) return std::move(*found);
    }
  }
  return fail(Code::not_found, "the record is no longer in history");
}

Result<void> note_opened(store::State& state, std::string_view who, std::string_view what, std::string_view subject) {
  return state.write_now([&](store::Tx& tx) {
    return tx.audit({std::string(who), fmt::format("{}.opened", what), std::string(subject), "{}"});
  });
}

void add_record_routes(net::Router& router, const Parts& parts) {
  router.get("/api/records/{ref}", Needs::hunt, [parts](const net::Request& q) -> net::Reply {
    const auto opened = opened_of(*parts, q);
    if (!opened) return net::problem(opened.error());
    const auto engine = parts->engine();
    return net::json(record_json(*engine, opened->first, opened->second, parts->runtime.now()));
  });
  router.get("/api/records/{ref}/raw", Needs::hunt, [parts](const net::Request& q) -> net::Reply {
    const auto opened = opened_of(*parts, q);
    if (!opened) return net::problem(opened.error());
    net::Reply reply;
    reply.headers.set("Content-Type", "application/octet-stream");
    reply.headers.set("Content-Disposition",
                      fmt::format("attachment; filename=\"record-{}-{}-{}.bin\"", opened->first.segment,
                                  opened->first.frame, opened->first.line));
    reply.headers.set("X-Content-Type-Options", "nosniff");
    reply.headers.set("Cache-Control", "no-store");
    reply.body = opened->second.line;
    return reply;
  });
}

}  // namespace bavn::show::api
