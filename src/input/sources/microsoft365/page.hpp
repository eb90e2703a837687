#pragma once
// One answer of a list, read with distrust: half of a page, a web page, a record that is no object, a count that is wrong.
// A record leaves as one line with the bytes that came; only white space between its parts is taken out.
// Thread rules: free functions. Limits: 64 MiB a page (the client's limit is lower), nesting as simdjson (1024).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace bavn::input::microsoft365 {

struct Record {
  std::string key;  // what makes it this record and no other: id, and what changes about it
  Instant at{};     // when it happened; zero: unreadable
  std::string line;
};

/// Where things are in a page.
struct PageShape {
  std::string_view list = "value";         // empty: the page is the list itself
  std::string_view time = {};              // member of a record
  std::vector<std::string_view> key = {};  // members joined make the key; all empty: the line itself is the key
  std::string_view adds = {};              // written into each record first, e.g. "\"Type\":\"EmailEvents\","
};

struct Page {
  std::vector<Record> records;
  std::string next;                    // "@odata.nextLink"; empty: the last page
  std::optional<std::uint64_t> count;  // "@odata.count", when it is said
  std::uint64_t no_objects = 0;        // entries of the list that are no objects: counted, left out
};

/// bad_input with the reason: not JSON (a web page is named as such), no list where one should be.
Result<Page> read_page(std::string_view body, const PageShape& shape);

/// What an error answer says, as far as it says anything. Never more than 400 bytes each.
struct ServiceError {
  std::string code, message;
};
ServiceError read_error(std::string_view body);

/// "text/html" or a body that starts like one: its title, for people.
std::optional<std::string> web_page_title(std::string_view body);

/// Members of a JSON object, texts and numbers as text; nullopt when it is no object. For small answers.
std::optional<std::vector<std::pair<std::string, std::string>>> flat_members(std::string_view body);

}  // namespace bavn::input::microsoft365
