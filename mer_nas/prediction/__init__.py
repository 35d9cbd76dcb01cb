"""What an exported network says of clips that it has never seen.

clip_input      what the words of the command line name: a video, a folder of frames, a pair
model      the exported graph, run by onnxruntime, and the preparation it was trained with
predict    a label for each clip, and which frames it rests on
picture    the flow and where the network looked; the only part that imports torch
"""
