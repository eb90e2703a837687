#include "exchange/bulletins/bulletins.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/describe.hpp>
#include <set>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/bulletins/find.hpp"
#include "exchange/bulletins/markdown.hpp"
#include "exchange/bulletins/report.hpp"
#include "net/json_views.hpp"

namespace bavn::exchange {

BOOST_DESCRIBE_STRUCT(BulletinPlace, (), (language, from, to, around, section))

namespace {

namespace mi = match::indicators;
using event::Right;

constexpr std::size_t kLongestText = 200'000, kLongestTitle = 200, kLongestSource = 100;
constexpr std::size_t kMostPlaces = 20, kFeedEntries = 50;
constexpr std::string_view kLanguages[] = {"da", "nb", "en"};

#define BAVN_BULLETIN_COLUMNS                                                                               \
  "id, uuid, state, kind, tlp, source, file, version, written_by, written_us, published_by, published_us, " \
  "withdrawn_why"

struct Row {
  std::int64_t id = 0;
  std::string uuid, state, kind, tlp, source, file;
  std::int64_t version = 0;
  std::string written_by;
  std::int64_t written_us = 0;
  std::string published_by;
  std::int64_t published_us = 0;
  std::string withdrawn_why;
};
BOOST_DESCRIBE_STRUCT(Row, (),
                      (id, uuid, state, kind, tlp, source, file, version, written_by, written_us, published_by,
                       published_us, withdrawn_why))
struct TextRow {
  std::string language, title, markdown;
};
BOOST_DESCRIBE_STRUCT(TextRow, (), (language, title, markdown))
struct FoundRow {
  std::int64_t id = 0;
  std::string kind, value, places, state, action;
  std::int64_t confidence = 0;
  std::string decided_by;
};
BOOST_DESCRIBE_STRUCT(FoundRow, (), (id, kind, value, places, state, action, confidence, decided_by))
struct PublishedRow {
  std::string kind, value;
};
BOOST_DESCRIBE_STRUCT(PublishedRow, (), (kind, value))

std::string source_name(std::int64_t id) {
  return fmt::format("bulletin:{}", id);
}

/// RFC 9562 section 5.4: version 4.
std::string new_uuid(Runtime& runtime) {
  std::array<std::byte, 16> bytes{};
  runtime.random(bytes);
  bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  const std::string hex = to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20));
}

Result<Bulletin> whole(store::Reader& db, const Row& r) {
  Bulletin b;
  b.id = r.id;
  b.uuid = r.uuid;
  b.state = r.state;
  b.kind = r.kind;
  b.tlp = event::parse_tlp(r.tlp).value_or(event::Tlp::red);
  b.source = r.source;
  b.file = r.file;
  b.version = r.version;
  b.written_by = r.written_by;
  b.written = from_micros(r.written_us);
  b.published_by = r.published_by;
  b.published = from_micros(r.published_us);
  b.withdrawn_why = r.withdrawn_why;
  BAVN_TRY(auto texts,
           db.all<TextRow>("SELECT language, title, markdown FROM bulletin_text WHERE bulletin = :b", {{"b", r.id}}));
  for (auto& t : texts) b.texts[t.language] = {std::move(t.title), std::move(t.markdown)};
  BAVN_TRY(auto found,
           db.all<FoundRow>("SELECT id, kind, value, places, state, action, confidence, decided_by FROM bulletin_found "
                            "WHERE bulletin = :b AND there = 1 ORDER BY id",
                            {{"b", r.id}}));
  for (auto& f : found) {
    BulletinFound v;
    v.id = f.id;
    v.kind = std::move(f.kind);
    v.value = std::move(f.value);
    if (auto places = net::from_json<std::vector<BulletinPlace>>(f.places, net::Unknown::ignore))
      v.places = std::move(*places);
    v.state = std::move(f.state);
    v.action = std::move(f.action);
    v.confidence = f.confidence;
    v.decided_by = std::move(f.decided_by);
    b.found.push_back(std::move(v));
  }
  return b;
}

bool may_see(const event::Scope& scope, const Row& r) {
  if (event::parse_tlp(r.tlp).value_or(event::Tlp::red) > scope.ceiling()) return false;
  return scope.sees_all() || r.state == "published";
}

Result<void> check(const NewBulletin& n, std::size_t longest = kLongestText) {
  if (n.source.empty() || n.source.size() > kLongestSource || !is_valid_utf8(n.source))
    return fail(Code::bad_input, "who wrote it? A source has 1 to 100 bytes", "/source");
  if (n.texts.empty()) return fail(Code::bad_input, "it has no text in any language", "/texts");
  for (const auto& [language, text] : n.texts) {
    if (std::ranges::find(kLanguages, language) == std::end(kLanguages))
      return fail(Code::bad_input, "languages are da, nb and en", "/texts");
    if (text.title.empty() || text.title.size() > kLongestTitle || !is_valid_utf8(text.title) ||
        text.title.find('\n') != std::string::npos)
      return fail(Code::bad_input, "a title has 1 to 200 bytes on one line", fmt::format("/texts/{}/title", language));
    if (text.markdown.size() > longest || !is_valid_utf8(text.markdown))
      return fail(Code::bad_input, fmt::format("a text has at most {} bytes of UTF-8", longest),
                  fmt::format("/texts/{}/markdown", language));
  }
  return {};
}

/// Its first part, to the end of a line.
std::string cut(std::string_view text) {
  const std::string_view first = text.substr(0, kLongestText);
  return std::string(first.substr(0, first.rfind('\n')));
}

/// As a title: on one line, cut where a character ends.
std::string one_line(std::string_view text) {
  std::string out = repair_utf8(text.substr(0, 4 * kLongestTitle));
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  std::size_t end = std::min(out.size(), kLongestTitle);
  while (end > 0 && end < out.size() && (static_cast<unsigned char>(out[end]) & 0xC0U) == 0x80U) --end;
  out.resize(end);
  return std::string(trim(out));
}

void xml(std::string& out, std::string_view text) {
  std::uint32_t c = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = std::max<std::size_t>(1, decode_utf8(text, i, c));
    const std::string_view piece = text.substr(i, n);
    if (piece == "<") out += "&lt;";
    else if (piece == ">") out += "&gt;";
    else if (piece == "&") out += "&amp;";
    else if (piece == "\"") out += "&quot;";
    else if (n > 1 || static_cast<unsigned char>(piece[0]) >= ' ' || piece == "\n" || piece == "\t")
      out += piece;  // XML 1.0 has no others
    i += n;
  }
}

}  // namespace

std::string html_of(const Bulletin& bulletin, const BulletinText& text) {
  if (bulletin.kind == "report") return html_of_text(text.markdown);
  std::set<std::string, std::less<>> bad;
  for (const auto& f : bulletin.found)
    if (f.state != "refused") bad.insert(f.value);
  return html_of_markdown(text.markdown, [&](std::string_view url) {
    const auto what = event::canonical(event::Kind::url, url);
    return what && (bad.contains(what->value) || bad.contains(event::url_host(what->value)));
  });
}

Result<void> Bulletins::may_change(const event::Scope& scope) const {
  if (!scope.may(Right::publish)) return fail(Code::forbidden, fmt::format("{} may not write bulletins", scope.who()));
  if (!scope.sees_all()) return fail(Code::forbidden, "bulletins are written by the joint CERT");
  return {};
}

Result<std::vector<Bulletin>> Bulletins::page(const event::Scope& scope, std::string_view state, std::int64_t before,
                                              std::size_t limit) const {
  std::vector<Bulletin> out;
  BAVN_CHECK(parts_.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(
        const auto rows,
        db.all<Row>("SELECT " BAVN_BULLETIN_COLUMNS
                    " FROM bulletin WHERE (:s = '' OR state = :s) AND (:b = 0 OR id < :b) ORDER BY id DESC LIMIT 5000",
                    {{"s", state}, {"b", before}}));
    for (const auto& r : rows) {
      if (out.size() >= limit) break;
      if (!may_see(scope, r)) continue;
      BAVN_TRY(auto b, whole(db, r));
      out.push_back(std::move(b));
    }
    return {};
  }));
  return out;
}

Result<Bulletin> Bulletins::show(const event::Scope& scope, std::int64_t id) const {
  return parts_.state.read([&](store::Reader& db) -> Result<Bulletin> {
    BAVN_TRY(const auto row, db.one<Row>("SELECT " BAVN_BULLETIN_COLUMNS " FROM bulletin WHERE id = :i", {{"i", id}}));
    if (!row || !may_see(scope, *row)) return fail(Code::not_found, "there is no such bulletin", std::to_string(id));
    return whole(db, *row);
  });
}

Result<std::int64_t> Bulletins::write(store::Tx& tx, const event::Scope& scope, std::optional<std::int64_t> id,
                                      const NewBulletin& text, std::string_view kind, std::string_view file) const {
  const std::string tlp(event::to_string(text.tlp));
  std::int64_t of = 0;
  if (id) {
    of = *id;
    BAVN_CHECK(
        tx.exec("UPDATE bulletin SET tlp = :t, source = :s, version = version + 1, written_by = :who, written_us = "
                ":now WHERE id = :i",
                {{"t", tlp}, {"s", text.source}, {"who", scope.who()}, {"now", tx.now()}, {"i", of}}));
    BAVN_CHECK(tx.exec("DELETE FROM bulletin_text WHERE bulletin = :i", {{"i", of}}));
    BAVN_CHECK(tx.exec("UPDATE bulletin_found SET there = 0 WHERE bulletin = :i", {{"i", of}}));
  } else {
    BAVN_CHECK(
        tx.exec("INSERT INTO bulletin (uuid, state, kind, tlp, source, file, version, written_by, written_us, "
                "published_by, published_us, withdrawn_why) "
                "VALUES (:u, 'draft', :k, :t, :s, :f, 1, :who, :now, '', 0, '')",
                {{"u", new_uuid(parts_.runtime)},
                 {"k", kind},
                 {"t", tlp},
                 {"s", text.source},
                 {"f", file},
                 {"who", scope.who()},
                 {"now", tx.now()}}));
    of = tx.last_id();
  }
  std::map<std::pair<std::string, std::string>, std::vector<BulletinPlace>> places;
  std::vector<std::pair<std::string, std::string>> order;
  for (const auto& [language, t] : text.texts) {
    BAVN_CHECK(tx.exec("INSERT INTO bulletin_text (bulletin, language, title, markdown) VALUES (:b, :l, :t, :m)",
                       {{"b", of}, {"l", language}, {"t", t.title}, {"m", t.markdown}}));
    const auto section_at = [&text = t.markdown](std::size_t at) -> std::optional<std::string> {
      const auto section = section_of(text, at);
      return section.empty() ? std::nullopt : std::optional(std::string(section));
    };
    for (const auto& f : find_observables(t.markdown)) {
      if (in_section_line(t.markdown, f.from)) continue;
      const std::pair key{std::string(event::to_string(f.what.kind)), f.what.value};
      auto& list = places[key];
      if (list.empty()) order.push_back(key);
      if (list.size() < kMostPlaces)
        list.push_back({language, static_cast<std::int64_t>(f.from), static_cast<std::int64_t>(f.to),
                        around(t.markdown, f.from, f.to), section_at(f.from)});
    }
  }
  if (order.size() > kMostFound) order.resize(kMostFound);
  for (const auto& key : order)
    BAVN_CHECK(
        tx.exec("INSERT INTO bulletin_found (bulletin, kind, value, places, state, action, confidence, decided_by, "
                "there, published) "
                "VALUES (:b, :k, :v, :p, 'found', '', 0, '', 1, 0) ON CONFLICT (bulletin, kind, value) DO UPDATE SET "
                "places = excluded.places, there = 1",
                {{"b", of}, {"k", key.first}, {"v", key.second}, {"p", net::to_json(places[key])}}));
  BAVN_CHECK(tx.emit("bulletin.written", std::to_string(of)));
  BAVN_CHECK(tx.audit({scope.who(), id ? "bulletin.changed" : "bulletin.written", fmt::format("bulletin:{}", of),
                       fmt::format("{{\"tlp\":\"{}\",\"found\":{}}}", tlp, order.size())}));
  return of;
}

Result<std::int64_t> Bulletins::add(const event::Scope& scope, const NewBulletin& text) {
  BAVN_CHECK(may_change(scope));
  BAVN_CHECK(check(text));
  std::int64_t id = 0;
  BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(id, write(tx, scope, std::nullopt, text, "bulletin", ""));
    return {};
  }));
  return id;
}

Result<std::int64_t> Bulletins::add_report(const event::Scope& scope, std::string_view bytes, std::string_view file,
                                           std::string_view source, event::Tlp tlp, std::string_view language) {
  BAVN_CHECK(may_change(scope));
  NewBulletin text;
  text.tlp = tlp;
  text.source = source;
  text.texts[std::string(language)] = {"report", {}};
  BAVN_CHECK(check(text));  // before somebody waits for what is refused anyway
  BAVN_TRY(auto report, report_text(bytes, file, language, parts_.parsers, parts_.texts));
  std::string title = one_line(report.title.empty() ? file : std::string_view(report.title));
  text.texts[std::string(language)] = {title.empty() ? std::string("report") : std::move(title),
                                       std::move(report.text)};
  BAVN_CHECK(check(text, kLongestReport));
  std::int64_t id = 0;
  BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(id, write(tx, scope, std::nullopt, text, "report", repair_utf8(file.substr(0, 200))));
    return {};
  }));
  return id;
}

Result<void> Bulletins::change(const event::Scope& scope, std::int64_t id, const NewBulletin& text,
                               std::int64_t version) {
  BAVN_CHECK(may_change(scope));
  BAVN_TRY(const Bulletin before, show(scope, id));
  BAVN_CHECK(check(text, before.kind == "report" ? kLongestReport : kLongestText));
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row,
             tx.one<Row>("SELECT " BAVN_BULLETIN_COLUMNS " FROM bulletin WHERE id = :i", {{"i", before.id}}));
    if (row->version != version) return fail(Code::conflict, "it was changed since it was read", "/version");
    if (row->state == "withdrawn") return fail(Code::conflict, "it is withdrawn: write a new one", std::to_string(id));
    BAVN_CHECK(write(tx, scope, id, text, "", ""));
    return {};
  });
}

Result<void> Bulletins::decide(const event::Scope& scope, std::int64_t id, const Decision& d) {
  BAVN_CHECK(may_change(scope));
  if (d.confidence < 0 || d.confidence > 100) return fail(Code::bad_input, "confidence is 0 to 100", "/confidence");
  if (d.confirm.size() + d.refuse.size() > kMostFound) return fail(Code::bad_input, "too many at a time", "/confirm");
  BAVN_TRY(const Bulletin b, show(scope, id));
  if (b.state == "withdrawn") return fail(Code::conflict, "it is withdrawn", std::to_string(id));
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    const auto set = [&](const std::vector<std::int64_t>& which, std::string_view state,
                         std::string_view where) -> Result<void> {
      for (const auto each : which) {
        BAVN_TRY(const auto n, tx.exec("UPDATE bulletin_found SET state = :s, action = :a, confidence = :c, decided_by "
                                       "= :who WHERE id = :f AND bulletin = :b AND there = 1",
                                       {{"s", state},
                                        {"a", state == "confirmed" ? mi::to_string(d.action) : std::string_view()},
                                        {"c", state == "confirmed" ? d.confidence : 0},
                                        {"who", scope.who()},
                                        {"f", each},
                                        {"b", id}}));
        if (n == 0)
          return fail(Code::bad_input, fmt::format("{} was not found in this bulletin", each), std::string(where));
      }
      return {};
    };
    BAVN_CHECK(set(d.confirm, "confirmed", "/confirm"));
    BAVN_CHECK(set(d.refuse, "refused", "/refuse"));
    BAVN_CHECK(tx.exec("UPDATE bulletin SET version = version + 1 WHERE id = :b", {{"b", id}}));
    BAVN_CHECK(tx.emit("bulletin.written", std::to_string(id)));
    return tx.audit({scope.who(), "bulletin.decided", fmt::format("bulletin:{}", id),
                     fmt::format("{{\"confirmed\":{},\"refused\":{}}}", d.confirm.size(), d.refuse.size())});
  });
}

Result<Taken> Bulletins::publish(const event::Scope& scope, std::int64_t id) {
  BAVN_CHECK(may_change(scope));
  BAVN_TRY(const Bulletin b, show(scope, id));
  if (b.state == "withdrawn") return fail(Code::conflict, "it is withdrawn: write a new one", std::to_string(id));
  const Instant now = parts_.runtime.now();
  Taken taken;
  std::vector<mi::Indicator> all;
  std::set<std::pair<std::string, std::string>> out;
  for (const auto& f : b.found) {
    if (f.state != "confirmed") continue;
    const auto kind = event::parse_kind(f.kind);
    if (!kind) continue;
    if (b.tlp > parts_.limits.narrowest) {
      note_dropped(taken, f.kind, f.value, "its TLP is narrower than what may go to the municipalities");
      continue;
    }
    mi::Indicator i;
    i.kind = *kind;
    i.value = f.value;
    i.source = source_name(id);
    i.confidence = static_cast<std::uint8_t>(std::clamp<std::int64_t>(f.confidence, 0, 100));
    i.tlp = b.tlp;
    i.valid_until = now + parts_.limits.bulletins;
    i.action = mi::parse_action(f.action).value_or(mi::Action::watch);
    i.comment = repair_utf8(
        std::string_view(fmt::format("{}: {}", b.source, b.texts.empty() ? "" : b.texts.begin()->second.title))
            .substr(0, 400));
    if (i.action > mi::Action::watch && parts_.never_blocked)
      if (const auto why = parts_.never_blocked({i.kind, i.value})) {
        i.action = mi::Action::watch;
        note_dropped(taken, f.kind, fmt::format("{} ({})", f.value, *why), "it may never be blocked: watched for only",
                     false);
      }
    out.emplace(f.kind, f.value);
    all.push_back(std::move(i));
  }
  taken.published = all.size();
  // What was published before and is confirmed no longer goes first.
  BAVN_TRY(const auto before, parts_.state.read([&](store::Reader& db) {
    return db.all<PublishedRow>("SELECT kind, value FROM bulletin_found WHERE bulletin = :b AND published = 1",
                                {{"b", id}});
  }));
  std::vector<mi::Removal> gone;
  for (const auto& p : before)
    if (!out.contains({p.kind, p.value}))
      if (const auto kind = event::parse_kind(p.kind)) gone.push_back({*kind, p.value, source_name(id)});
  if (!gone.empty()) BAVN_CHECK(parts_.withdraw(scope, gone));
  if (!all.empty()) BAVN_CHECK(parts_.publish(scope, std::move(all), source_name(id)));
  BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE bulletin_found SET published = 0 WHERE bulletin = :b", {{"b", id}}));
    for (const auto& [kind, value] : out)
      BAVN_CHECK(tx.exec("UPDATE bulletin_found SET published = 1 WHERE bulletin = :b AND kind = :k AND value = :v",
                         {{"b", id}, {"k", kind}, {"v", value}}));
    BAVN_CHECK(
        tx.exec("UPDATE bulletin SET state = 'published', published_by = :who, published_us = CASE WHEN published_us = "
                "0 THEN :now ELSE published_us END, version = version + 1 WHERE id = :b",
                {{"who", scope.who()}, {"now", tx.now()}, {"b", id}}));
    BAVN_CHECK(
        tx.emit("bulletin.published", std::to_string(id), fmt::format("{{\"tlp\":\"{}\"}}", event::to_string(b.tlp))));
    return tx.audit(
        {scope.who(), "bulletin.published", fmt::format("bulletin:{}", id),
         fmt::format("{{\"version\":{},\"indicators\":{},\"dropped\":{}}}", b.version, out.size(), taken.dropped)});
  }));
  return taken;
}

Result<void> Bulletins::withdraw(const event::Scope& scope, std::int64_t id, std::string_view why) {
  BAVN_CHECK(may_change(scope));
  if (trim(why).empty() || why.size() > 500 || !is_valid_utf8(why))
    return fail(Code::bad_input, "why? 1 to 500 bytes", "/why");
  BAVN_TRY(const Bulletin b, show(scope, id));
  if (b.state == "withdrawn") return fail(Code::conflict, "it is withdrawn already", std::to_string(id));
  BAVN_TRY(const auto before, parts_.state.read([&](store::Reader& db) {
    return db.all<PublishedRow>("SELECT kind, value FROM bulletin_found WHERE bulletin = :b AND published = 1",
                                {{"b", id}});
  }));
  std::vector<mi::Removal> gone;
  for (const auto& p : before)
    if (const auto kind = event::parse_kind(p.kind)) gone.push_back({*kind, p.value, source_name(id)});
  if (!gone.empty()) BAVN_CHECK(parts_.withdraw(scope, gone));
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE bulletin_found SET published = 0 WHERE bulletin = :b", {{"b", id}}));
    BAVN_CHECK(
        tx.exec("UPDATE bulletin SET state = 'withdrawn', withdrawn_why = :w, version = version + 1 WHERE id = :b",
                {{"w", why}, {"b", id}}));
    BAVN_CHECK(
        tx.emit("bulletin.withdrawn", std::to_string(id), fmt::format("{{\"tlp\":\"{}\"}}", event::to_string(b.tlp))));
    std::string detail;
    JsonWriter(detail).object().member("why", why).end();
    return tx.audit({scope.who(), "bulletin.withdrawn", fmt::format("bulletin:{}", id), detail});
  });
}

Result<std::string> Bulletins::atom(event::Tlp ceiling, std::string_view language, std::string_view name,
                                    std::string_view site) const {
  const event::Scope reader("feed", {}, static_cast<std::uint32_t>(Right::tenants_read), ceiling);
  BAVN_TRY(const auto all, page(reader, "published", 0, kFeedEntries));
  std::string out = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n<title>";
  xml(out, name);
  out += "</title>\n<id>";
  const std::string self =
      fmt::format("{}/bulletins.atom{}", site, language.empty() ? "" : fmt::format("?language={}", language));
  xml(out, self);
  out += "</id>\n<link rel=\"self\" href=\"";
  xml(out, self);
  Instant newest{};
  for (const auto& b : all) newest = std::max({newest, b.written, b.published});
  out += fmt::format("\"/>\n<updated>{}</updated>\n", format_time(std::chrono::floor<std::chrono::seconds>(newest)));
  for (const auto& b : all) {
    if (b.texts.empty()) continue;
    const auto wanted = b.texts.find(std::string(language));
    const auto& [tongue, text] = wanted != b.texts.end() ? *wanted : *b.texts.begin();
    out += fmt::format("<entry xml:lang=\"{}\">\n<id>urn:uuid:{}</id>\n<title>", tongue, b.uuid);
    xml(out, text.title);
    out += "</title>\n<author><name>";
    xml(out, b.source);
    out += fmt::format("</name></author>\n<category scheme=\"https://www.first.org/tlp/\" term=\"TLP:{}\"/>\n",
                       event::to_string(b.tlp));
    out += fmt::format("<published>{}</published>\n<updated>{}</updated>\n<content type=\"html\">",
                       format_time(std::chrono::floor<std::chrono::seconds>(b.published)),
                       format_time(std::chrono::floor<std::chrono::seconds>(std::max(b.written, b.published))));
    BulletinText short_enough = text;  // a feed of fifty is read whole by every reader; the rest stands on the page
    if (short_enough.markdown.size() > kLongestText) short_enough.markdown = cut(short_enough.markdown) + "\n...";
    xml(out, html_of(b, short_enough));
    out += "</content>\n</entry>\n";
  }
  return out + "</feed>\n";
}

}  // namespace bavn::exchange
