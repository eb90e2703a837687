#include "exchange/open_data/open_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/describe.hpp>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/time.hpp"

namespace bavn::exchange {

namespace {

using std::chrono::sys_days;
using std::chrono::year_month;

constexpr Setting kSettings[] = {
    {"open_data.publish",
     Unit::none,
     false,
     {},
     "Whether anybody may have the counts at /open-data/catalog.jsonld; to publish is a decision of the CERT and its "
     "members.",
     Restart::yes},
    {"open_data.threshold",
     Unit::none,
     std::int64_t{5},
     {3, 50},
     "A number behind which there are fewer municipalities (or things, where no municipality is known) is left out: "
     "below "
     "three, each of two would know the other's part; five is what statistics offices use for counts.",
     Restart::yes},
    {"open_data.rounding",
     Unit::none,
     std::int64_t{5},
     {1, 20},
     "What the number of municipalities warned is rounded to a multiple of, so that nobody counts who is missing.",
     Restart::yes},
    {"open_data.settle_days",
     Unit::days,
     std::int64_t{5},
     {1, 27},
     "How long after its end a month is counted: answers and judgements come late, and a published number never "
     "changes.",
     Restart::yes},
    {"open_data.licence",
     Unit::none,
     std::string_view("cc0"),
     {3, 5},
     "cc0 (do what you like) or cc-by (name the CERT); data portals recommend cc0 for figures.",
     Restart::yes},
    {"open_data.publisher_url",
     Unit::none,
     std::string_view(""),
     {0, 260},
     "The CERT's own page, which names it as the publisher; empty: this address.",
     Restart::yes},
    {"open_data.contact",
     Unit::none,
     std::string_view(""),
     {0, 254},
     "Mail address of the CERT for questions about the figures; it is published. Empty: none.",
     Restart::yes},
};

constexpr std::string_view kTimer = "open_data.month", kAll = "all", kRounded = "municipalities_warned";
constexpr int kMostMonths = 120;
constexpr std::string_view kAuthority = "http://publications.europa.eu/resource/authority/";

struct CountRow {
  std::string month, measure, kind;
  std::int64_t value = 0, behind = 0;
};
BOOST_DESCRIBE_STRUCT(CountRow, (), (month, measure, kind, value, behind))
struct MonthRow {
  std::string month;
  std::int64_t counted_us = 0;
};
BOOST_DESCRIBE_STRUCT(MonthRow, (), (month, counted_us))

struct Column {
  std::string_view name, type, text;
};
constexpr Column kColumns[] = {
    {"month", "gYearMonth", "The month, by UTC. Only months that are over and were counted."},
    {"measure", "string",
     "What is counted. warnings_sent: warnings that went out to municipalities. municipalities_warned: municipalities "
     "that got at least one of them, rounded. median_minutes_to_warning: from the first mail of the campaign to the "
     "warning, half of the warnings were faster. campaigns: campaigns that were noticed, by what noticed them. "
     "indicators_shared: indicators that went to the municipalities, by kind of observable. block_entries: entries of "
     "the block list that went out."},
    {"kind", "string",
     "The part of the measure; all: the sum of its parts; empty: it has none. Of campaigns: sender_notice (a mailbox "
     "sent "
     "to many), burst (one sender, many receivers), url and attachment (the same thing new in several "
     "municipalities)."},
    {"value", "nonNegativeInteger",
     "The number. Empty: left out, because too few municipalities or things are behind it, or because it is a sum from "
     "which such a number could be calculated. 0 is nothing at all."},
};

std::string month_name(year_month m) {
  return fmt::format("{:04}-{:02}", static_cast<int>(m.year()), static_cast<unsigned>(m.month()));
}

year_month month_at(Instant t) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(t));
  return {day.year(), day.month()};
}

Instant begins(year_month m) {
  return sys_days(m / 1);
}

/// "2024-10" -> "2024-10-31".
std::string last_day(std::string_view month) {
  const int y = std::stoi(std::string(month.substr(0, 4)));
  const auto m = static_cast<unsigned>(std::stoi(std::string(month.substr(5, 2))));
  const std::chrono::year_month_day_last last{std::chrono::year(y), std::chrono::month_day_last(std::chrono::month(m))};
  return fmt::format("{}-{:02}", month, static_cast<unsigned>(last.day()));
}

std::string iso(Instant t) {
  return format_time(std::chrono::floor<std::chrono::seconds>(t));
}

std::string csv_of(std::span<const OpenNumber> numbers) {
  std::string out = "month,measure,kind,value\r\n";  // our own names: nothing in them is to be quoted
  for (const auto& n : numbers)
    out += fmt::format("{},{},{},{}\r\n", n.month, n.measure, n.kind, n.value ? std::to_string(*n.value) : "");
  return out;
}

void by_language(JsonWriter& w, const Catalogue& texts, std::string_view key, Catalogue::Values values) {
  w.array();
  for (const Language l : {Language::da, Language::nb, Language::en})
    w.object().member("@language", to_string(l)).member("@value", texts.say(l, key, values)).end();
  w.end();
}

void ref(JsonWriter& w, std::string_view name, const std::string& id) {
  w.key(name).object().member("@id", id).end();
}

void typed(JsonWriter& w, std::string_view name, std::string_view type, const std::string& value) {
  w.key(name).object().member("@type", type).member("@value", value).end();
}

std::string authority(std::string_view list, std::string_view code) {
  return fmt::format("{}{}/{}", kAuthority, list, code);
}

}  // namespace

std::span<const Setting> open_data_settings() {
  return kSettings;
}

Result<OpenDataOptions> OpenDataOptions::from(const Settings* settings) {
  static_assert(std::size(kSettings) == 7, "read the new one below");
  const Settings own = Settings::defaults(kSettings);
  const Settings& s = settings != nullptr ? *settings : own;
  OpenDataOptions o;
  o.publish = s.flag("open_data.publish");
  o.threshold = s.integer("open_data.threshold");
  o.rounding = s.integer("open_data.rounding");
  o.settle = s.duration("open_data.settle_days");
  const std::string& licence = s.text("open_data.licence");
  if (licence != "cc0" && licence != "cc-by")
    return fail(Code::bad_input, fmt::format("\"{}\" is no licence of open data: cc0 or cc-by", licence),
                "open_data.licence");
  o.attribution = licence == "cc-by";
  o.publisher = s.text("open_data.publisher_url");
  o.contact = s.text("open_data.contact");
  return o;
}

std::vector<OpenNumber> released(std::span<const MonthCount> counts, std::int64_t threshold, std::int64_t rounding) {
  std::vector<OpenNumber> out;
  for (std::size_t at = 0; at < counts.size();) {
    const std::string &month = counts[at].month, &measure = counts[at].measure;
    std::int64_t sum = 0;
    bool parts = false, whole = true;
    for (; at < counts.size() && counts[at].month == month && counts[at].measure == measure; ++at) {
      const MonthCount& c = counts[at];
      OpenNumber n{c.month, c.measure, c.kind, {}};
      // Nothing is nothing: it says of nobody that something happened there.
      if (c.value == 0 || c.behind >= threshold) n.value = c.value;
      if (n.value && measure == kRounded) n.value = (*n.value + rounding / 2) / rounding * rounding;
      parts = parts || !c.kind.empty();
      whole = whole && n.value.has_value();
      sum += c.value;
      out.push_back(std::move(n));
    }
    if (parts) out.push_back({month, measure, std::string(kAll), whole ? std::optional(sum) : std::nullopt});
  }
  return out;
}

std::unique_ptr<OpenData> OpenData::open(OpenDataParts parts) {
  std::unique_ptr<OpenData> o(new OpenData(std::move(parts)));
  o->parts_.state.on_timer_tx(std::string(kTimer),
                              [self = o.get()](store::Tx& tx, const store::Timer&) { return self->count(tx); });
  return o;
}

Result<void> OpenData::start() {
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto planned, tx.number("SELECT count(*) FROM timer WHERE kind = :k", {{"k", kTimer}}));
    return planned != 0 ? Result<void>() : tx.set_timer(tx.now(), kTimer, "all");
  });
}

/// Every month that is over and settled, and was not counted yet. Counted whether it is published or not: what is counted from may be
/// forgotten before somebody decides.
Result<void> OpenData::count(store::Tx& tx) const {
  const Instant now = tx.now();
  BAVN_TRY(const auto first, parts_.source.first(tx));
  if (first) {
    auto m = std::max(month_at(*first), month_at(now) - std::chrono::months(kMostMonths));
    for (; begins(m + std::chrono::months(1)) + parts_.options.settle <= now; m += std::chrono::months(1)) {
      const std::string name = month_name(m);
      BAVN_TRY(const auto there, tx.number("SELECT count(*) FROM open_data_month WHERE month = :m", {{"m", name}}));
      if (there > 0) continue;
      BAVN_TRY(const auto counts, parts_.source.month(tx, begins(m), begins(m + std::chrono::months(1))));
      for (const auto& c : counts)
        BAVN_CHECK(
            tx.exec("INSERT INTO open_data_count (month, measure, kind, value, behind) VALUES (:m, :w, :k, :v, :b)",
                    {{"m", name}, {"w", c.measure}, {"k", c.kind}, {"v", c.value}, {"b", c.behind}}));
      BAVN_CHECK(
          tx.exec("INSERT INTO open_data_month (month, counted_us) VALUES (:m, :now)", {{"m", name}, {"now", now}}));
      BAVN_CHECK(
          tx.audit({"bavn", "open_data.counted", "month:" + name, fmt::format("{{\"numbers\":{}}}", counts.size())}));
    }
  }
  auto next = month_at(now);
  while (begins(next) + parts_.options.settle <= now) next += std::chrono::months(1);
  return tx.set_timer(begins(next) + parts_.options.settle, kTimer, "all");
}

Result<OpenData::Known> OpenData::known() const {
  return parts_.state.read([&](store::Reader& db) -> Result<Known> {
    Known k;
    BAVN_TRY(const auto months, db.all<MonthRow>("SELECT month, counted_us FROM open_data_month ORDER BY month"));
    BAVN_TRY(const auto rows, db.all<CountRow>("SELECT month, measure, kind, value, behind FROM open_data_count "
                                               "ORDER BY month, measure, kind"));
    for (const auto& m : months) {
      k.months.push_back(m.month);
      k.counted = std::max(k.counted, from_micros(m.counted_us));
    }
    std::vector<MonthCount> counts;
    for (const auto& r : rows) counts.push_back({r.month, r.measure, r.kind, r.value, r.behind});
    k.numbers = released(counts, parts_.options.threshold, parts_.options.rounding);
    return k;
  });
}

Result<std::string> OpenData::csv() const {
  BAVN_TRY(const Known k, known());
  return csv_of(k.numbers);
}

std::string OpenData::json_of(const Known& k) const {
  std::string out;
  JsonWriter w(out);
  w.object().member("publisher", parts_.name).member("licence", parts_.options.attribution ? "CC-BY-4.0" : "CC0-1.0");
  w.member("threshold", parts_.options.threshold).key("months").array();
  for (const auto& m : k.months) w.value(m);
  w.end().key("counts").array();
  for (const auto& n : k.numbers) {
    w.object().member("month", n.month).member("measure", n.measure);
    if (!n.kind.empty()) w.member("kind", n.kind);
    w.key("value");
    if (n.value) w.value(*n.value);
    else w.null();
    w.end();
  }
  w.end().end();
  return out;
}

Result<std::string> OpenData::json() const {
  BAVN_TRY(const Known k, known());
  return json_of(k);
}

std::string OpenData::csv_metadata() const {
  std::string out;
  JsonWriter w(out);
  w.object().key("@context").array().value("http://www.w3.org/ns/csvw").object().member("@language", "en").end().end();
  w.member("url", "counts.csv").key("dialect").object().member("lineTerminators", "\r\n").end();
  w.member("dc:title", parts_.texts.say(Language::en, "open_data.counts.title"));
  w.member("dc:description", parts_.texts.say(Language::en, "open_data.counts.description",
                                              {{"n", std::to_string(parts_.options.threshold)}}));
  w.key("tableSchema").object().key("columns").array();
  for (const auto& c : kColumns)
    w.object()
        .member("name", c.name)
        .member("titles", c.name)
        .member("datatype", c.type)
        .member("dc:description", c.text)
        .end();
  w.end().key("primaryKey").array().value("month").value("measure").value("kind").end().end().end();
  return out;
}

// DCAT-AP 3.0: https://semiceu.github.io/DCAT-AP/releases/3.0.0/
Result<std::string> OpenData::catalog(std::string_view site) const {
  BAVN_TRY(const Known k, known());
  const std::string base = fmt::format("{}/open-data/", site), self = base + "catalog.jsonld";
  const std::string publisher = parts_.options.publisher.empty() ? self + "#publisher" : parts_.options.publisher;
  const std::string licence = authority("licence", parts_.options.attribution ? "CC_BY_4_0" : "CC0");
  const std::string threshold = std::to_string(parts_.options.threshold);
  std::string out;
  JsonWriter w(out);
  w.object().key("@context").object();
  for (const auto& [prefix, iri] : {std::pair<std::string_view, std::string_view>{"dcat", "http://www.w3.org/ns/dcat#"},
                                    {"dct", "http://purl.org/dc/terms/"},
                                    {"foaf", "http://xmlns.com/foaf/0.1/"},
                                    {"spdx", "http://spdx.org/rdf/terms#"},
                                    {"vcard", "http://www.w3.org/2006/vcard/ns#"},
                                    {"xsd", "http://www.w3.org/2001/XMLSchema#"}})
    w.member(prefix, iri);
  w.end();
  const auto languages = [&] {
    w.key("dct:language").array();
    for (const std::string_view code : {"DAN", "NOB", "ENG"})
      w.object().member("@id", authority("language", code)).end();
    w.end();
  };
  const auto agent = [&] {
    w.key("dct:publisher").object().member("@id", publisher).member("@type", "foaf:Agent");
    w.member("foaf:name", parts_.name).end();
  };
  const auto modified = [&] {
    if (!k.months.empty()) typed(w, "dct:modified", "xsd:dateTime", iso(k.counted));
  };
  w.member("@id", self).member("@type", "dcat:Catalog");
  w.key("dct:title");
  by_language(w, parts_.texts, "open_data.catalog.title", {{"name", parts_.name}});
  w.key("dct:description");
  by_language(w, parts_.texts, "open_data.catalog.description", {});
  agent();
  languages();
  ref(w, "dct:license", licence);
  ref(w, "foaf:homepage", publisher.starts_with(self) ? std::string(site) + "/" : publisher);
  ref(w, "dcat:themeTaxonomy", "http://publications.europa.eu/resource/authority/data-theme");
  modified();

  w.key("dcat:dataset").object().member("@id", self + "#counts").member("@type", "dcat:Dataset");
  w.key("dct:title");
  by_language(w, parts_.texts, "open_data.counts.title", {});
  w.key("dct:description");
  by_language(w, parts_.texts, "open_data.counts.description", {{"n", threshold}});
  w.member("dct:identifier", self + "#counts");
  agent();
  languages();
  w.key("dcat:theme").array();
  for (const std::string_view code : {"GOVE", "TECH"}) w.object().member("@id", authority("data-theme", code)).end();
  w.end();
  w.key("dcat:keyword").array();
  for (const auto& [language, word] : {std::pair<std::string_view, std::string_view>{"da", "cybersikkerhed"},
                                       {"nb", "cybersikkerhet"},
                                       {"en", "cyber security"}})
    w.object().member("@language", language).member("@value", word).end();
  w.end();
  ref(w, "dct:accessRights", authority("access-right", "PUBLIC"));
  ref(w, "dct:accrualPeriodicity", authority("frequency", "MONTHLY"));
  if (!k.months.empty()) {
    w.key("dct:temporal").object().member("@type", "dct:PeriodOfTime");
    typed(w, "dcat:startDate", "xsd:date", k.months.front() + "-01");
    typed(w, "dcat:endDate", "xsd:date", last_day(k.months.back()));
    w.end();
  }
  typed(w, "dcat:temporalResolution", "xsd:duration", "P1M");
  modified();
  if (!parts_.options.contact.empty()) {
    w.key("dcat:contactPoint").object().member("@type", "vcard:Organization").member("vcard:fn", parts_.name);
    ref(w, "vcard:hasEmail", "mailto:" + parts_.options.contact);
    w.end();
  }
  w.key("dcat:distribution").array();
  struct File {
    std::string_view name, type, media;
    std::string body;
  };
  for (const File& f : {File{"counts.csv", "CSV", "text/csv", csv_of(k.numbers)},
                        File{"counts.json", "JSON", "application/json", json_of(k)}}) {
    const std::string url = base + std::string(f.name);
    w.object().member("@id", fmt::format("{}#{}", self, f.name)).member("@type", "dcat:Distribution");
    w.key("dct:title");
    by_language(w, parts_.texts, "open_data.counts.title", {});
    w.key("dct:description");
    by_language(w, parts_.texts, "open_data.counts.description", {{"n", threshold}});
    ref(w, "dcat:accessURL", url);
    ref(w, "dcat:downloadURL", url);
    ref(w, "dct:format", authority("file-type", f.type));
    ref(w, "dcat:mediaType", fmt::format("https://www.iana.org/assignments/media-types/{}", f.media));
    ref(w, "dct:license", licence);
    languages();
    typed(w, "dcat:byteSize", "xsd:nonNegativeInteger", std::to_string(f.body.size()));
    w.key("spdx:checksum").object().member("@type", "spdx:Checksum");
    ref(w, "spdx:algorithm", "http://spdx.org/rdf/terms#checksumAlgorithm_sha256");
    typed(w, "spdx:checksumValue", "xsd:hexBinary", to_hex(sha256(f.body)));
    w.end();
    if (f.type == "CSV") ref(w, "dct:conformsTo", "http://www.w3.org/TR/tabular-data-model/");
    modified();
    w.end();
  }
  w.end().end().end();
  return out;
}

}  // namespace bavn::exchange
