#pragma once
// The book of indicators as partners read it (exchange/peers/library.hpp). Thread rules: as the Reader's.
#include <string_view>
#include <vector>

#include "exchange/peers/library.hpp"
#include "store/state.hpp"

namespace bavn::show::api {

Result<std::vector<exchange::Known>> known_rows(store::Reader& db, const exchange::LibraryAsk& ask);
/// Everything that came from a peer.
Result<std::vector<match::indicators::Removal>> rows_of_peer(store::Reader& db, std::string_view peer);

}  // namespace bavn::show::api
