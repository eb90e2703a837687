// Warnings that went out, in the collection of what we know: written when their state changes, so that readers get each version once.
#include <fmt/format.h>

#include <algorithm>
#include <boost/describe.hpp>
#include <set>

#include "exchange/peers/views.hpp"
#include "exchange/stix/bundle.hpp"
#include "exchange/stix/names.hpp"
#include "exchange/stix/warning.hpp"
#include "exchange/taxii/taxii.hpp"
#include "exchange/tlp_marks.hpp"

namespace bavn::exchange::taxii {

namespace {

constexpr std::int64_t kMostExportedObjects = 100'000;

struct WarningRow {
  std::string id, state, published;
  std::int64_t sent_us = 0, changed_us = 0;
};
BOOST_DESCRIBE_STRUCT(WarningRow, (), (id, state, published, sent_us, changed_us))

struct HereRow {
  std::string id, type, kind, body, state;
  std::int64_t tlp = 0, created_us = 0, version_us = 0;
};
BOOST_DESCRIBE_STRUCT(HereRow, (), (id, type, kind, body, state, tlp, created_us, version_us))

struct BodyRow {
  std::string id, body;
  std::int64_t tlp = 0;
};
BOOST_DESCRIBE_STRUCT(BodyRow, (), (id, body, tlp))

std::int64_t to_millis(std::int64_t us) {
  return us / 1000 * 1000;
}

}  // namespace

Result<void> Taxii::tell_warning(std::string_view id) {
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row, tx.one<WarningRow>("SELECT id, state, published AS published, sent_at_us AS sent_us, "
                                                "published_at_us AS changed_us FROM warning WHERE id = :id AND "
                                                "published IS NOT NULL AND sent_at_us IS NOT NULL",
                                                {{"id", id}}));
    if (!row) return {};  // a draft
    const std::string source = stix::warning_source(row->id);
    BAVN_TRY(const auto here, tx.all<HereRow>("SELECT id, type, kind, body, state, tlp, created_us, version_us FROM "
                                              "taxii_object INDEXED BY taxii_object_made WHERE pool = 0 AND book = 0 "
                                              "AND source = :s",
                                              {{"s", source}}));
    BAVN_TRY(const auto members, tx.all<std::string>("SELECT domain FROM member_domain"));
    BAVN_TRY(auto told, stix::told_warning(row->published, members));
    std::vector<stix::WarningObject> objects;
    if (told && row->state != "withdrawn") {
      told->id = row->id;
      told->state = row->state;
      told->sent = from_micros(to_millis(row->sent_us));
      told->changed = from_micros(to_millis(row->changed_us));
      objects = stix::warning_objects(author_, *told);
    }
    std::int64_t last = 0;
    BAVN_TRY(last, tx.number("SELECT last_added_us FROM taxii_self"));
    last = std::max(last, micros(tx.now()) - 1);
    const auto put = [&](const stix::WarningObject& o, std::int64_t tlp, std::int64_t created, std::int64_t version,
                         std::string_view state) -> Result<void> {
      BAVN_CHECK(tx.exec("DELETE FROM taxii_object WHERE pool = 0 AND id = :id", {{"id", o.id}}));
      BAVN_CHECK(tx.exec(
          "INSERT INTO taxii_object (added_us, pool, id, type, spec, version, version_us, created_us, tlp, kind, "
          "sectors, source, book, body, digest, batch, state, why) VALUES (:a, 0, :id, :type, '2.1', :v, :vus, :c, "
          ":tlp, :kind, '', :source, 0, :body, '', '', :state, '')",
          {{"a", ++last},
           {"id", o.id},
           {"type", o.type},
           {"v", stix::timestamp(from_micros(version))},
           {"vus", version},
           {"c", created},
           {"tlp", tlp},
           {"kind", o.kind},
           {"source", source},
           {"body", o.body},
           {"state", state}}));
      return {};
    };
    std::set<std::string, std::less<>> now;
    for (const stix::WarningObject& o : objects) {
      now.insert(o.id);
      const auto same = std::find_if(here.begin(), here.end(), [&](const HereRow& h) { return h.id == o.id; });
      if (same != here.end() && same->body == o.body) continue;
      BAVN_CHECK(put(o, static_cast<std::int64_t>(told->tlp), micros(told->sent),
                     micros(std::max(told->sent, told->changed)), ""));
    }
    // What is looked for no longer, and everything of a warning that was none. Whoever had it is to hear of it: its marking stays.
    for (const HereRow& h : here) {
      if (now.contains(h.id) || h.state == "revoked") continue;
      const std::int64_t version = std::max(to_millis(row->changed_us), h.version_us + 1000);
      BAVN_TRY(std::string body, stix::revoked_object(h.body, from_micros(version)));
      BAVN_CHECK(put({h.id, h.type, h.kind, std::move(body)}, h.tlp, h.created_us, version, "revoked"));
    }
    BAVN_CHECK(tx.exec("UPDATE taxii_self SET last_added_us = :l WHERE last_added_us < :l", {{"l", last}}));
    return {};
  });
}

ExportView Taxii::warnings_view() const {
  ExportView view{"application/stix+json;version=2.1", "json", {}, false};
  view.write = [this](std::span<const Known>, const ExportAsk& ask) -> Result<std::string> {
    BAVN_TRY(const auto rows, state_.read([&](store::Reader& db) {
      return db.all<BodyRow>(
          "SELECT id, body, tlp FROM taxii_object INDEXED BY taxii_object_made WHERE pool = 0 AND book = 0 AND source "
          ">= "
          "'warning ' AND source < 'warning!' AND tlp <= :c ORDER BY added_us DESC LIMIT :n",
          {{"c", ask.ceiling}, {"n", kMostExportedObjects}});
    }));
    std::string out;
    stix::BundleWriter bundle(author_, [&](std::string_view piece) -> Result<void> {
      out += piece;
      return {};
    });
    std::set<std::int64_t> marked;
    for (const BodyRow& r : rows) {
      const auto tlp = static_cast<event::Tlp>(r.tlp);
      if (marked.insert(r.tlp).second)
        for (const stix::Marking& m : stix::markings())
          if (m.id == stix_marking(tlp) || m.id == stix_marking_tlp1(tlp)) BAVN_CHECK(bundle.add(m.id, m.body));
      BAVN_CHECK(bundle.add(r.id, r.body));
    }
    BAVN_CHECK(bundle.finish());
    return out;
  };
  return view;
}

}  // namespace bavn::exchange::taxii
