#include "correlate/campaigns.hpp"

namespace bavn::correlate {

namespace {

struct KeyRow {
  std::string key;
};
BOOST_DESCRIBE_STRUCT(KeyRow, (), (key))

}  // namespace

Result<std::vector<std::string>> notices_of(store::Reader& db, std::int64_t campaign) {
  BAVN_TRY(
      const auto rows,
      db.all<KeyRow>("SELECT substr(key, 8) AS key FROM corr_thing WHERE campaign = :c AND kind = 'notice' ORDER BY "
                     "first_us LIMIT 500",
                     {{"c", campaign}}));
  std::vector<std::string> out;
  for (const KeyRow& row : rows) out.push_back(row.key);
  return out;
}

}  // namespace bavn::correlate
