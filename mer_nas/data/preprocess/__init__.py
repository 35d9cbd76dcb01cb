"""From the frames of a clip to what a network sees, in steps that a preset declares.

    frames           which frames a folder or a video holds
    frame_readers    frames in files, one after the other: a list, a folder, a video
    images           one image file: whole, of a bearable size, in 8 bits
    alignment        the face of the first frame, upright and cropped; every frame likewise
    magnification    small motions made larger, frame by frame
    flow             optical flow and strain between two frames
    make_inputs      what networks see, from a few frames
    pipeline         all of it for one clip, in memory that does not grow with its length
    cache            what was prepared once, on disk

`config.Pipeline` says which steps, and is part of the key under which a result is kept.
"""
