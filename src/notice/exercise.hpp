#pragma once
// Registered exercises: mail sent on purpose to train people. Announced beforehand by the hub, signed (entry "exercise"); a header in the mail
// alone is worth nothing, since attackers copy it. Life: values.
#include <boost/describe/class.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "event/facts.hpp"

namespace bavn::notice {

/// ["exercise"] to all or to one. A mail is of the exercise when it was sent within the time, from the sender (an address, or a domain with all
/// its addresses), and, when a url is named too and the mail's links are known, with that url (canonical; what starts with it counts).
struct Exercise {
  std::string id, sender, url;
  std::int64_t from_us = 0, until_us = 0;
  bool withdrawn = false;
};
BOOST_DESCRIBE_STRUCT(Exercise, (), (id, sender, url, from_us, until_us, withdrawn))

bool of_exercise(const Exercise& exercise, const event::MailFact& mail);
/// A click on its url, a report about its sender: no harm.
bool of_exercise(const Exercise& exercise, const event::HarmFact& harm);
template <class F>
bool of_exercise(std::span<const Exercise> exercises, const F& fact) {
  for (const Exercise& e : exercises)
    if (of_exercise(e, fact)) return true;
  return false;
}

}  // namespace bavn::notice
