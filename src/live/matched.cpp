#include "live/matched.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/digest.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"

namespace bavn::live {

namespace {

constexpr std::int64_t kDay = 24LL * 3600 * 1'000'000;
constexpr std::string_view kHostNames[] = {"Computer",   "ComputerName", "Hostname",   "hostname",    "host.name",
                                           "DeviceName", "deviceName",   "agent.name", "MachineName", "dvc_hostname"};

/// Accounts under which machines work for themselves: they say nothing about who.
bool is_service_account(std::string_view name) {
  const std::size_t slash = name.rfind('\\');
  std::string_view short_name = slash == std::string_view::npos ? name : name.substr(slash + 1);
  if (short_name.empty() || short_name.back() == '$') return true;
  for (const std::string_view known :
       {"-", "SYSTEM", "LOCAL SERVICE", "NETWORK SERVICE", "ANONYMOUS LOGON", "root", "N/A", "unknown"})
    if (iequals(short_name, known)) return true;
  return short_name.starts_with("S-1-5-") || short_name.starts_with("DWM-") || short_name.starts_with("UMFD-");
}

std::string municipality_text(MunicipalityId m) {
  return std::to_string(m.value);
}

std::shared_ptr<const notice::FactPlan> plan_of(const hunt::Engine& engine) {
  std::vector<const event::FactMaps*> maps;
  for (const formats::Description& d : engine.catalogue().all()) maps.push_back(&d.facts);
  return std::make_shared<const notice::FactPlan>(engine.plan(), maps);
}

std::string file_of(std::uint32_t segment, std::uint32_t frame) {
  return std::to_string(segment) + "/" + std::to_string(frame);
}

}  // namespace

void MatchedFrame::settle() {
  const std::string file = file_of(segment, frame);
  for (alerts::Found& f : found) {
    f.finding.file = file;
    f.place.segment = segment;
    f.place.frame = frame;
  }
  for (sigma::Hit& h : hits) h.where.file = file;
}

Loaded::Loaded(std::shared_ptr<hunt::Engine> e, std::uint64_t g, bool facts_wanted)
    : engine(std::move(e)), generation(g), capture(engine->rules()), facts(facts_wanted ? plan_of(*engine) : nullptr) {}
Loaded::~Loaded() = default;

bool Loaded::reads_facts(const std::string& format) const {
  const auto id = engine->catalogue().find(format);
  return facts != nullptr && id && facts->reads(*id);
}

Desk::Desk(Loaded& loaded) : loaded_(loaded), engine_(*loaded.engine), worker_(engine_) {
  if (loaded.facts != nullptr) facts_.emplace(loaded.facts);
}

std::unique_ptr<Desk, std::function<void(Desk*)>> Loaded::desk() {
  std::unique_ptr<Desk> desk;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      desk = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (!desk) desk = std::make_unique<Desk>(*this);
  return {desk.release(), [this](Desk* d) {
            std::unique_ptr<Desk> back(d);
            const std::lock_guard lock(mutex_);
            free_.push_back(std::move(back));
          }};
}

alerts::Concern Desk::concern(const event::EventBatch& batch, const event::Record& r, const std::string& source) const {
  std::string scratch;
  const auto first = [&](event::Role role, auto&& takes) -> std::string {
    for (const event::Field& f : batch.fields_of(r))
      if (f.role == role) {
        const std::string_view text = trim(batch.text(f, scratch));
        if (!text.empty() && takes(text)) return to_lower(text.substr(0, 200));
      }
    return {};
  };
  const auto any = [](std::string_view t) { return t != "-"; };
  if (std::string who = first(event::Role::account, [](std::string_view t) { return !is_service_account(t); });
      !who.empty())
    return {"account", std::move(who)};
  const match::hotpath::BatchRecordView view(engine_.plan(), batch, r);
  for (const std::string_view name : kHostNames) {
    if (!engine_.plan().slot(name)) continue;
    std::string host;
    view.for_each(name, [&](std::string_view v, event::ValueKind kind) {
      if (kind == event::ValueKind::string && v.size() > 1) host = to_lower(v.substr(0, 200));
      return host.empty();
    });
    if (!host.empty()) return {"host", std::move(host)};
  }
  if (std::string who = first(event::Role::email, any); !who.empty()) return {"account", std::move(who)};
  for (const event::Role role : {event::Role::ip, event::Role::host_or_ip})
    if (std::string ip = first(role, any); !ip.empty()) return {"address", std::move(ip)};
  return {"source", source};
}

void Desk::add(MatchedFrame& into, std::map<Key, std::size_t>& at, Key key, std::uint32_t line, const event::Record& r,
               std::int64_t received_us, const std::function<event::Finding()>& make) {
  const std::int64_t when = r.happened_us != 0 ? r.happened_us : received_us;
  std::get<4>(key) = when / kDay;
  const auto known = at.find(key);
  if (known != at.end()) {
    alerts::Found& f = into.found[known->second];
    ++f.count;
    f.first_us = std::min(f.first_us, when);
    f.last_us = std::max(f.last_us, when);
    return;
  }
  alerts::Found f;
  f.finding = make();
  f.finding.municipality = municipality_text(into.municipality);
  f.finding.line = line;
  f.place.line = line;
  f.municipality = into.municipality;
  f.tenant = into.tenant;
  f.source = into.source;
  f.concern = {std::get<2>(key), std::get<3>(key)};
  f.received_us = received_us;
  f.line_hash = hash64(batch_.line(r));
  f.first_us = f.last_us = when;
  at.emplace(std::move(key), into.found.size());
  into.found.push_back(std::move(f));
}

template <class F>
void Desk::collect(const event::EventBatch& batch, Instant now, bool findings, F&& where) {
  worker_.match(batch);
  const hunt::Engine& engine = engine_;
  for (const match::hotpath::Hit& hit : worker_.hits()) {
    const auto [frame, at, line, received] = where(hit.record);
    if (frame == nullptr) continue;
    const event::Record& r = batch.records[hit.record];
    const sigma::Rule& rule = engine.rules().rules[hit.rule];
    if (loaded_.capture.wants(hit.rule)) {
      const match::hotpath::BatchRecordView view(engine.plan(), batch, r);
      frame->hits.push_back(loaded_.capture.capture(
          hit.rule, HappenedAt{from_micros(r.happened_us)}, view,
          {municipality_text(frame->municipality), engine.catalogue().at(r.format).name, {}, line}));
    }
    if (!findings || !rule.reports || rule.meta.level < engine.min_level()) continue;
    alerts::Concern c = concern(batch, r, frame->source);
    add(*frame, *at, {false, hit.rule, std::move(c.kind), std::move(c.value), 0}, line, r, received,
        [&] { return worker_.finding(batch, hit, {}, now); });
  }
  if (!findings) return;
  for (const hunt::IndicatorHit& hit : worker_.indicator_hits()) {
    const auto [frame, at, line, received] = where(hit.record);
    if (frame == nullptr) continue;
    const event::Record& r = batch.records[hit.record];
    const std::uint64_t which =
        hash64(hit.indicator.source, hash64(hit.indicator.value, static_cast<std::uint64_t>(hit.indicator.kind)));
    alerts::Concern c = concern(batch, r, frame->source);
    add(*frame, *at, {true, which, std::move(c.kind), std::move(c.value), 0}, line, r, received,
        [&] { return worker_.finding(batch, hit, {}, now); });
  }
}

void Desk::match(const history::FrameRef& ref, const history::FrameText& text, Want want, MatchedFrame& into) {
  into.segment = ref.info.segment;
  into.frame = ref.info.frame;
  into.generation = loaded_.generation;
  into.source = ref.info.source.name;
  into.municipality = ref.info.source.municipality;
  into.tenant = ref.info.source.tenant;
  into.records = ref.info.count;
  into.bytes = std::uint64_t{ref.info.lines_bytes} + 1;
  into.received_us = ref.info.received_us;
  into.max_happened_us = ref.info.max_happened_us;
  const bool facts = want.facts && loaded_.reads_facts(ref.info.format);
  if (!want.findings && !want.hits && !facts) return;
  hunt::read_lines(worker_.reader(), engine_.catalogue(), ref.info.format, text.context(), text.lines(), batch_);
  if (facts)
    for (const event::Record& r : batch_.records) read_facts(r, into);
  if (!want.findings && !want.hits) return;
  std::map<Key, std::size_t> at;
  collect(batch_, from_micros(into.received_us), want.findings, [&](std::uint32_t record) -> To {
    const auto line = static_cast<std::uint32_t>(batch_.records[record].line);
    return {&into, &at, line, text.received_us(line - 1)};
  });
  into.settle();
}

void Desk::read_facts(const event::Record& r, MatchedFrame& into) {
  event::FactHead head;  // received: the frame's, said when it is fed
  head.municipality = into.municipality;
  head.tenant = into.tenant;
  facts_->read(batch_, r, head, into.facts);
}

Result<ReadDelivery> Desk::read(const input::Delivery& d, std::size_t frame_bytes, Instant now) {
  std::optional<event::FormatId> format;
  if (!d.format.empty()) {
    format = engine_.catalogue().find(d.format);
    if (!format)
      return fail(Code::bad_input, "there is no format '" + d.format + "'; `bavn formats list` shows them", d.source);
  }
  ReadDelivery out;
  // Rounded, so that frames of one source share a context and can be merged.
  const std::int64_t reference = micros(now) / kDay * kDay + kDay - 1, received = micros(now);
  formats::Reader& reader = worker_.reader();
  reader.new_source(format, from_micros(reference));
  if (d.context.empty()) reader.no_table();
  std::uint64_t header_lines = 0;
  const auto refuse = [&](const event::Refusal& r) {
    input::Refused& why = out.receipt.reasons[r.reason];
    if (why.count++ == 0)
      why.first = "line " + std::to_string(r.line > header_lines ? r.line - header_lines : r.line) + ": " + r.detail;
    ++out.receipt.refused;
    if (d.line_is_record) out.receipt.refused_lines.push_back(r.line - std::min(r.line, header_lines));
  };
  if (!d.context.empty()) {
    batch_.clear();
    std::string& raw = batch_.raw.own();
    raw = d.context;
    if (raw.back() != '\n') raw += '\n';
    const std::size_t to = raw.size();
    raw.append(64, '\0');
    reader.read(batch_, 0, to,
                1);  // header lines give no records; if they are none, the records of it are not the sender's
  }
  std::map<event::FormatId, Open> open;  // of this chunk
  std::vector<Where> where;
  formats::SourceOptions so;
  so.chunk = frame_bytes;
  so.only_lines = d.line_is_record;
  so.lines_are_told = true;
  const auto source = formats::Source::of_bytes(d.bytes, so);
  while (!source->done()) {
    BAVN_TRY(const auto chunk, source->next(batch_));
    for (const event::Refusal& r : batch_.refusals) refuse(r);
    open.clear();
    std::size_t from = chunk.from;
    std::uint64_t line = chunk.first_line;
    while (from < chunk.to) {
      // Header lines (Zeek, W3C) belong to the lines after them: what stands between two headers is read by itself.
      std::size_t to = chunk.to;
      for (std::size_t at = batch_.raw.find("\n#", from); at != std::string::npos && at + 1 < chunk.to;
           at = batch_.raw.find("\n#", at + 1)) {
        const std::size_t before = at == 0 ? std::string::npos : batch_.raw.rfind('\n', at - 1);
        if (at > from && batch_.raw[before == std::string::npos || before < from ? from : before + 1] != '#') {
          to = at + 1;
          break;
        }
      }
      batch_.records.clear();
      batch_.fields.clear();
      batch_.derived.clear();
      batch_.refusals.clear();
      line += reader.read(batch_, from, to, line);
      for (const event::Refusal& r : batch_.refusals) refuse(r);
      if (from != chunk.from) open.clear();  // another header, another frame
      const std::string header = reader.context();
      std::string context;
      where.assign(batch_.records.size(), {});
      const event::Record* previous = nullptr;
      Where last;
      for (std::size_t i = 0; i < batch_.records.size(); ++i) {
        const event::Record& r = batch_.records[i];
        const bool same_line = previous != nullptr && previous->offset == r.offset && previous->length == r.length;
        previous = &r;
        Open& o = open[r.format];
        if (o.piece == nullptr) {
          auto piece = std::make_unique<Piece>();
          piece->format = r.format;
          piece->format_name = engine_.catalogue().at(r.format).name;
          if (context.empty()) context = hunt::encode(hunt::FrameContext{reference, format.has_value(), header});
          piece->context = context;
          piece->matched.source = d.source;
          piece->matched.municipality = d.municipality;
          piece->matched.tenant = d.tenant;
          piece->matched.generation = loaded_.generation;
          o.piece = piece.get();
          o.at.clear();
          out.pieces.push_back(std::move(piece));
        }
        Piece& p = *o.piece;
        if (!same_line) {
          const std::string_view text = batch_.line(r);
          last = {};
          if (text.find('\n') != std::string_view::npos) {
            refuse({r.line, "record_with_line_end", "a record that holds a line end"});
            continue;
          }
          if (!p.happened_us.empty()) p.lines += '\n';
          p.lines += text;
          p.happened_us.push_back(r.happened_us);
          ++out.receipt.accepted;
          if (r.happened_us > micros(out.receipt.newest_happened))
            out.receipt.newest_happened = from_micros(r.happened_us);
          last = {&o, static_cast<std::uint32_t>(p.happened_us.size())};
        }
        if (last.open != &o) continue;
        where[i] = last;
        if (facts_ && facts_->reads(r.format)) read_facts(r, p.matched);
        observables_.postings(batch_, r, p.postings);
      }
      collect(batch_, now, true, [&](std::uint32_t record) -> To {
        const Where& w = where[record];
        if (w.open == nullptr) return {nullptr, nullptr, 0, 0};
        return {&w.open->piece->matched, &w.open->at, w.line, received};
      });
      from = to;
    }
    source->read_lines(line - chunk.first_line);
  }
  std::erase_if(out.pieces, [](const auto& p) { return p->happened_us.empty(); });
  std::sort(out.receipt.refused_lines.begin(), out.receipt.refused_lines.end());
  std::uint64_t n = 0;
  for (auto& p : out.pieces) {
    p->matched.records = p->happened_us.size();
    p->matched.bytes = p->lines.size() + 1;
    if (d.id.empty()) continue;
    const std::string digest = blake2b256(std::to_string(d.id.size()) + ":" + d.id + std::to_string(n++) + ":" +
                                          p->format_name + ":" + p->lines);
    std::memcpy(p->id.data(), digest.data(), p->id.size());
  }
  return out;
}

alerts::Found found_of(const sigma::RuleSet& set, const sigma::CorrelationFinding& c, const MatchedFrame& from) {
  alerts::Found f;
  f.finding = sigma::to_finding(set, c, from_micros(from.received_us));
  f.municipality = from.municipality;
  f.tenant = from.tenant;
  f.source = from.source;
  f.received_us = from.received_us;
  f.first_us = micros(c.first.t);
  f.last_us = micros(c.last.t);
  if (f.last_us == 0) f.first_us = f.last_us = from.received_us;
  for (const auto& [name, value] : c.group) {
    if (!f.concern.value.empty()) f.concern.value += ", ";
    f.concern.value += to_lower(value.substr(0, 200));
  }
  f.concern.kind =
      c.group.size() == 1 && (icontains(c.group[0].first, "user") || icontains(c.group[0].first, "account")) ? "account"
                                                                                                             : "group";
  if (c.group.empty()) f.concern = {"source", from.source};
  // Where its last event lies.
  if (!c.contributing.empty()) {
    const sigma::Contribution& last = c.contributing.back();
    const std::string& file = last.where.file;
    const std::size_t slash = file.find('/');
    if (slash != std::string::npos) {
      std::from_chars(file.data(), file.data() + slash, f.place.segment);
      std::from_chars(file.data() + slash + 1, file.data() + file.size(), f.place.frame);
    }
    f.place.line = static_cast<std::uint32_t>(last.where.line);
    f.finding.file = file;
    f.finding.line = last.where.line;
  }
  return f;
}

}  // namespace bavn::live
