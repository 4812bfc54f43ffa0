"""Where the bytes of a photo come from: mirrors, Flickr, folders, archives and buckets."""
