#pragma once
// What the desk asks of the digester (notice/digest.hpp), so that either can be built and tested without the other.
// Thread rules: as FactWatcher; take_entry() runs in a Tx on the State's writer, never while feed() runs (the desk sees to it).
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "event/facts.hpp"
#include "store/state.hpp"

namespace bavn::notice {

class Digesting {
 public:
  virtual ~Digesting() = default;
  /// Every mail that is not of a registered exercise. again: state moves on, nothing may come out that came out before.
  virtual void feed(const event::MailFact& mail, Instant received, bool again) = 0;
  /// Every harm: what was reported is never left out. The keyed digest (hex) of the thing it is about, when there is one.
  virtual std::optional<std::string> harm(const event::HarmFact& harm, Instant received, bool again) = 0;
  /// What came out since the last call, as a unit that stores and tells it; null: nothing.
  virtual store::Unit take() = 0;
  /// Entries "reveal" and "digest_key".
  virtual Result<void> take_entry(store::Tx& tx, std::string_view kind, std::string_view payload,
                                  MunicipalityId municipality) = 0;
  virtual Result<void> save(std::string& into) const = 0;
  virtual Result<void> load(std::string_view saved) = 0;
  virtual Duration memory() const = 0;
};

}  // namespace bavn::notice
