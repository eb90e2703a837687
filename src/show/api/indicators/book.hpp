#pragma once
// The hub's indicators one by one, for people who look through them: a row each, with an index for each way of looking. What nodes get are
// the base and the changes since; whoever publishes or withdraws writes here in the same unit.
// Measured by a test that prints (show_tests --gtest_filter=Bench.Indicators*). Thread rules: as the Reader's and the Tx's.
#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "match/indicators/indicator.hpp"
#include "match/indicators/set.hpp"
#include "store/state.hpp"

namespace bavn::show::api {

struct BookRow {
  std::int64_t id = 0;
  std::string kind, value, source, action;
  std::int64_t confidence = 0;
  std::string tlp;
  std::int64_t valid_from_us = 0, valid_until_us = 0;
  std::string comment;
  std::int64_t added_us = 0;
  std::string added_by;
};
BOOST_DESCRIBE_STRUCT(BookRow, (),
                      (id, kind, value, source, action, confidence, tlp, valid_from_us, valid_until_us, comment,
                       added_us, added_by))

struct BookFilter {
  std::string kind{}, source{}, action{};  // empty: all
  std::string text{};                      // what the value begins with, as people write it (defanged, with a scheme)
  std::int64_t before_id = 0;              // paging without text: newest first
  std::string after_value{};               // paging with text: in order of value, then id
  std::int64_t after_id = 0;
  std::size_t limit = 50;
};

struct BookCount {
  std::string source, kind;
  std::int64_t count = 0, newest_us = 0;
};
BOOST_DESCRIBE_STRUCT(BookCount, (), (source, kind, count, newest_us))

/// What is known of each (kind, value, source) is replaced.
Result<void> book_add(store::Tx& tx, std::span<const match::indicators::Indicator> indicators, std::string_view who);
/// source empty: of every source. True when something was there.
Result<bool> book_remove(store::Tx& tx, const match::indicators::Removal& removal);
/// Those in force, one more than the limit when there are more.
Result<std::vector<BookRow>> book_page(store::Reader& db, const BookFilter& filter, Instant now);
Result<std::optional<BookRow>> book_row(store::Reader& db, std::int64_t id);
/// Other sources that name the same.
Result<std::vector<std::string>> book_also(store::Reader& db, const BookRow& row);
Result<std::vector<BookCount>> book_counts(store::Reader& db);
/// The beginning of a value as rows have it: "hxxps://Evil[.]Example/" is "evil.example/".
std::string book_prefix(std::string_view text);

}  // namespace bavn::show::api
