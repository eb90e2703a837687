#pragma once
// What can be read of a tenant: one row a source. The row says what it feeds, what it needs, in plain words, and how late it is,
// so that a page can say what a municipality sees and what it cannot. Facts with their origin: docs/microsoft365.md.
#include <chrono>
#include <span>
#include <string_view>
#include <vector>

#include "input/sources/microsoft365/access.hpp"

namespace bavn::input::microsoft365 {

struct Words {
  std::string_view da, nb, en;
};

enum class Shape : std::uint8_t { list, management, hunting, settings };

struct Api {
  std::string_view name;    // the source is "m365." and this
  std::string_view format;  // folder of content/formats
  Shape shape;
  Words title;
  Words why;                                  // what the permission opens, and what it does not
  Words blind;                                // what is not seen without it
  std::vector<std::string_view> permissions;  // application permissions by name
  std::string_view licence;                   // empty: none beyond the tenant itself
  std::string_view delay;                     // as documented or told; the measured lag stands beside it
  std::vector<std::string_view> feeds;        // rules (content/rules) and digests

  // Of lists and hunting.
  Budget budget = Budget::directory;
  std::string_view path;                     // after the service's base
  std::string_view time_field;               // asked by, ge and le
  std::string_view filter;                   // and this
  std::string_view record_time;              // member of a record
  std::vector<std::string_view> record_key;  // members: see PageShape
  unsigned top = 0;                          // $top; 0: the service's own

  std::chrono::minutes every{5};      // between two polls
  std::chrono::minutes overlap{60};   // read again at each poll: records come late
  std::chrono::hours sweep_every{6};  // and deeper now and then
  std::chrono::hours sweep_depth{26};
  std::chrono::hours window{24};         // most that is asked at once
  std::chrono::hours look_back{24 * 7};  // at the first start
  std::chrono::hours reach{24 * 7};      // how far back the service goes; what lies beyond is lost
};

std::span<const Api> apis();
const Api* api_named(std::string_view name);

/// Every permission of all sources, each once, with the id of its role: the consent script grants exactly these.
struct Permission {
  std::string_view name, role_id;  // appRole id in the service's own application
  Service service;
  Words why;
};
std::span<const Permission> permissions();
/// What purge needs, one of the two; never in the consent script, always by a step of its own (purge_script).
std::span<const Permission> purge_permissions();

}  // namespace bavn::input::microsoft365
