#include "hunt/engine.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>

#include "base/aead.hpp"
#include "base/content.hpp"
#include "base/files.hpp"

namespace bavn::hunt {

namespace sigma = match::sigma;
namespace hotpath = match::hotpath;

namespace {

constexpr std::size_t kShownValue = 500;  // bytes of one value in a finding
constexpr std::size_t kShownFields = 24;

void fields_of(const sigma::RuleSet& set, const sigma::Node& n, std::vector<std::string_view>& out) {
  if (n.kind == sigma::Node::Kind::leaf) {
    const std::string& name = set.predicates[n.predicate].field;
    if (!name.empty() && std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
    return;
  }
  for (const auto& c : n.children) fields_of(set, c, out);
}

/// Rule files of a folder (or the one file), to be loaded together with those of the binary.
Result<void> read_rules(const std::string& path, std::vector<std::pair<std::string, std::string>>& texts) {
  namespace fs = std::filesystem;
  std::vector<std::string> found;
  std::error_code ec;
  if (fs::is_directory(path, ec)) {
    for (auto it = fs::recursive_directory_iterator(path, ec); !ec && it != fs::recursive_directory_iterator();
         it.increment(ec))
      if (it->is_regular_file(ec) && (it->path().extension() == ".yml" || it->path().extension() == ".yaml"))
        found.push_back(it->path().string());
  } else {
    found.push_back(path);
  }
  if (ec) return fail(Code::not_found, "cannot read the rules: " + ec.message(), path);
  std::sort(found.begin(), found.end());
  DiskFiles disk;
  for (const std::string& file : found) {
    BAVN_TRY(std::string text, read_file(disk, file, 64U << 20U));
    texts.emplace_back(file, std::move(text));
  }
  return {};
}

std::uint64_t fresh_secret() {
  std::array<char, 8> bytes;
  random_bytes(bytes);
  return std::bit_cast<std::uint64_t>(bytes);
}

}  // namespace

std::string describe(const sigma::LogSource& l) {
  std::string out;
  for (const auto& [name, value] :
       {std::pair{"category", &l.category}, {"product", &l.product}, {"service", &l.service}})
    if (!value->empty()) out.append(out.empty() ? "" : " ").append(name).append("=").append(*value);
  return out.empty() ? "any" : out;
}

// Which formats could ever deliver a log source: every combination of their table's entries is allowed, so this errs on the side of
// "may match".
bool deliverable(const formats::Catalogue& catalogue, const sigma::LogSource& l, std::string& missing) {
  const auto any = [&](auto member, const std::string& value) {
    if (value.empty()) return true;
    for (const auto& d : catalogue.all())
      for (const auto& e : d.logsource)
        if (e.*member == value) return true;
    return false;
  };
  for (const auto& d : catalogue.all()) {
    if (d.name == "json") continue;  // takes every rule, by field names alone
    const auto has = [&](auto member, const std::string& value) {
      return value.empty() ||
             std::any_of(d.logsource.begin(), d.logsource.end(), [&](const auto& e) { return e.*member == value; });
    };
    if (has(&formats::LogsourceEntry::product, l.product) && has(&formats::LogsourceEntry::service, l.service) &&
        has(&formats::LogsourceEntry::category, l.category))
      return true;
  }
  if (!any(&formats::LogsourceEntry::product, l.product)) missing = "product " + l.product;
  else if (!any(&formats::LogsourceEntry::service, l.service)) missing = "service " + l.service;
  else if (!any(&formats::LogsourceEntry::category, l.category)) missing = "category " + l.category;
  else missing = "this combination (" + describe(l) + ")";
  return false;
}

Result<std::unique_ptr<Engine>> Engine::open(const EngineOptions& options) {
  auto e = std::unique_ptr<Engine>(new Engine);
  BAVN_TRY(e->catalogue_, formats::Catalogue::builtin());
  for (const auto& path : options.formats) BAVN_CHECK(e->catalogue_.add_file(path));
  sigma::Options load;
  load.placeholders_file = options.placeholders_file;
  load.cache_file = options.rule_cache;
  if (options.builtin_rules) {
    std::vector<std::pair<std::string, std::string>> texts;
    for (std::string_view path : content::list("content/rules/"))
      if (path.ends_with(".yml")) texts.emplace_back(std::string(path), std::string(*content::file(path)));
    for (const std::string& path : options.rules) BAVN_CHECK(read_rules(path, texts));
    BAVN_TRY(auto set, sigma::load_texts(texts, load));
    e->rules_ = std::make_shared<const sigma::RuleSet>(std::move(set));
  } else {
    BAVN_TRY(auto set, sigma::load(options.rules, load));
    e->rules_ = std::make_shared<const sigma::RuleSet>(std::move(set));
  }
  hotpath::add_names(*e->rules_, e->plan_);
  e->catalogue_.add_names(e->plan_);
  e->facts_ = options.facts;
  if (options.facts) e->catalogue_.add_fact_names(e->plan_);
  e->program_ = std::make_unique<hotpath::Program>(e->rules_, e->plan_, [&](const sigma::LogSource& l) {
    std::string missing;
    return deliverable(e->catalogue_, l, missing);
  });
  e->min_level_ = options.min_level;
  match::indicators::IndicatorBuilder builder;
  for (const auto& path : options.indicators) {
    BAVN_TRY(auto report, match::indicators::load_file(path, builder));
    e->reports_.emplace_back(path, std::move(report));
  }
  if (options.random_indicators != 0) match::indicators::add_random(builder, options.random_indicators, 1);
  if (options.shared_indicators != nullptr) {
    e->indicators_ = options.shared_indicators;
    if (!options.indicators.empty() || options.random_indicators != 0) e->indicators_->replace_base(builder.build());
  } else {
    e->indicators_ = std::make_shared<match::indicators::IndicatorSet>(builder.build());
  }
  for (const auto& path : options.allow) BAVN_CHECK(e->allow_.load(path));
  return e;
}

Worker::Worker(Engine& engine, formats::ReaderOptions options)
    : engine_(engine),
      reader_(engine.catalogue(), engine.plan(), engine.routes(), options),
      matcher_(engine.program(), engine.routes(), fresh_secret()),
      indicator_match_(engine.indicators(), &engine.allow(), fresh_secret()) {}

std::uint64_t Worker::process(event::EventBatch& batch, const formats::Source::Chunk& chunk) {
  const std::uint64_t lines = reader_.read(batch, chunk.from, chunk.to, chunk.first_line);
  match(batch);
  return lines;
}

void Worker::match(const event::EventBatch& batch) {
  hits_.clear();
  matcher_.match(batch, hits_);
  indicator_hits_.clear();
  indicator_match_.match(batch, indicator_hits_);
}

event::Finding Worker::finding(const event::EventBatch& batch, const hotpath::Hit& hit, const std::string& file,
                               Instant now) const {
  const sigma::Rule& rule = engine_.rules().rules[hit.rule];
  const event::Record& r = batch.records[hit.record];
  event::Finding f;
  f.kind = event::FindingKind::sigma;
  f.rule_id = rule.meta.id;
  f.rule_title = rule.meta.title;
  f.rule_level = sigma::to_string(rule.meta.level);
  f.found_at = now;
  f.happened_at = from_micros(r.happened_us);
  f.format = engine_.catalogue().at(r.format).name;
  f.file = file;
  f.line = r.line;
  std::vector<std::string_view> names;
  fields_of(engine_.rules(), rule.condition, names);
  const hotpath::BatchRecordView view(engine_.plan(), batch, r);
  for (std::string_view name : names) {
    if (f.fields.size() >= kShownFields) break;
    std::string value;
    bool any = false;
    view.for_each(name, [&](std::string_view v, event::ValueKind kind) {
      if (kind == event::ValueKind::null) return true;
      if (any) value += ", ";
      any = true;
      value += v.substr(0, kShownValue);
      return value.size() < kShownValue;
    });
    if (any) f.fields.emplace_back(name, std::move(value));
  }
  return f;
}

event::Finding Worker::finding(const event::EventBatch& batch, const IndicatorHit& hit, const std::string& file,
                               Instant now) const {
  const event::Record& r = batch.records[hit.record];
  event::Finding f;
  f.kind = event::FindingKind::indicator;
  f.indicator_kind = hit.indicator.is_pattern() ? "stix_pattern" : std::string(event::to_string(hit.indicator.kind));
  f.indicator_value = hit.indicator.value;
  f.indicator_source = hit.indicator.source;
  f.action = match::indicators::to_string(hit.indicator.action);
  f.found_at = now;
  f.happened_at = from_micros(r.happened_us);
  f.format = engine_.catalogue().at(r.format).name;
  f.file = file;
  f.line = r.line;
  if (hit.field < batch.fields.size()) {
    const event::Field& field = batch.fields[hit.field];
    std::string scratch;
    f.fields.emplace_back(field.slot == event::kNoSlot ? "value" : std::string(engine_.plan().name(field.slot)),
                          std::string(batch.text(field, scratch).substr(0, kShownValue)));
  }
  return f;
}

}  // namespace bavn::hunt
