// What must not outlive the process, however it ends: temporary files and folders.
//
// Nothing here allocates once something stands on the disk, and all of it may be called while memory is short or, but for
// making one, from a signal handler.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace intaglio {

// A file, or a folder with all that is in it, that goes when this object does or when `remove_leftovers` is called.
class Leftover {
 public:
  Leftover();
  // `make` makes a file or folder of that name and says whether it could; errno is its. It does not throw, and the process is not ended
  // between that and the entry here.
  Leftover(std::string path, const std::function<bool(const char* path)>& make);
  // A new folder of one of the names that `prefix` begins (temporary_names.h), for this user alone. What killed runs left of them goes. It
  // can be emptied however few files may be open.
  static Leftover folder(const std::string& prefix);
  ~Leftover();
  Leftover(Leftover&& other) noexcept;
  Leftover& operator=(Leftover&& other) noexcept;

  bool exists() const { return entry_ != nullptr; }
  const std::string& path() const;  // of one that exists
  void keep();                      // it has become what was wanted

 private:
  friend class Leftovers;
  struct Entry;
  using OfEntry = std::function<bool(Entry&)>;
  Leftover(std::string path, const OfEntry& make);
  void close();

  std::unique_ptr<Entry> entry_;
};

// Of an open folder, however deep its folders are.
void empty_folder(int folder);

// Everything that is left now. For a program that ends next: whoever makes or keeps one afterwards waits for that end.
void remove_leftovers() noexcept;

}  // namespace intaglio
